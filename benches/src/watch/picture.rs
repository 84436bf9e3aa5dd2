//! One picture of `lab watch` for a terminal: the plan, the load, the newest events, the report of one of them.
//!
//! Owns the layout, at any size of the terminal.
//! Not here: the terminal itself, keys, and when it is drawn (`terminal.rs`).

use super::{
    history::{History, Seen, State, Track},
    name::LoopName,
    record::{Outcome, Served},
    words::{self, plain},
};
use crate::table::grouped;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Paragraph, Sparkline, Wrap},
};
use std::time::Duration;

const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const BUSY: Style = Style::new().fg(Color::Yellow);
const QUIET: Style = Style::new().add_modifier(Modifier::DIM);
const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);
/// Columns of the plan, at most.
const PLAN: u16 = 60;
/// Columns of the figures beside the sparklines.
const FIGURES: u16 = 42;

/// Which event is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chosen(Option<usize>);

impl Chosen {
    /// The one before it, if there is one: older.
    pub fn older(&mut self, history: &History) {
        let place = self.place(history).map_or(0, |place| place.saturating_sub(1));
        self.0 = Some(history.forgotten() + place);
    }

    /// The one after it; after the newest, whichever is the newest from then on.
    pub fn newer(&mut self, history: &History) {
        let next = self.place(history).map_or(0, |place| place + 1);
        self.0 = (next + 1 < history.events().len()).then(|| history.forgotten() + next);
    }

    /// Whichever is the newest.
    pub fn newest(&mut self) {
        self.0 = None;
    }

    /// Its place among the events that are kept; none if there are none.
    fn place(self, history: &History) -> Option<usize> {
        let newest = history.events().len().checked_sub(1)?;
        Some(self.0.map_or(newest, |chosen| chosen.saturating_sub(history.forgotten()).min(newest)))
    }
}

/// Draws what is known.
pub fn draw(frame: &mut Frame<'_>, history: &History, chosen: Chosen) {
    let [title, body, help] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(heading(history), title);
    frame.render_widget(Line::styled("q quits   ↑ ↓ choose an event   End the newest", QUIET), help);

    let [left, right] =
        Layout::horizontal([Constraint::Length(PLAN.min(body.width / 5 * 2)), Constraint::Min(0)])
            .areas(body);
    plan(frame, left, history);
    let servers = servers(history);
    let [load_area, events_area, report_area] = Layout::vertical([
        Constraint::Length(2 * servers.len() as u16 + 2),
        Constraint::Fill(2),
        Constraint::Fill(3),
    ])
    .areas(right);
    load(frame, load_area, history, &servers);
    events(frame, events_area, history, chosen);
    report(frame, report_area, history, chosen);
}

fn heading(history: &History) -> Line<'static> {
    let mut spans = vec![Span::styled("lab watch", HEAD)];
    if let Some(plan) = history.plan() {
        let longest = words::length(plan.max_blocking_time);
        spans.push(format!("   T = {longest}   {}", words::clock(history.now())).into());
    }
    if let Some((place, track)) = history.current() {
        spans.push(format!("   row {} of {}: ", place + 1, history.tracks().len()).into());
        spans.push(Span::styled(words::planned(&track.planned), BUSY));
        spans.push(format!(", expects {}", track.planned.expected).into());
    }
    spans.into()
}

fn plan(frame: &mut Frame<'_>, area: Rect, history: &History) {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut group = None;
    let mut shown = 0;
    let current = history.current().map(|(place, _)| place);
    for (place, track) in history.tracks().iter().enumerate() {
        if group.replace(track.planned.event_loop) != Some(track.planned.event_loop) {
            lines.push(Line::styled(track.planned.event_loop.as_str(), HEAD));
        }
        if Some(place) == current {
            shown = lines.len();
        }
        lines.push(row(track, history.now()));
    }
    let block = Block::bordered().title("plan");
    let height = block.inner(area).height as usize;
    // The current row stays in sight, and nothing is shown below the last one.
    let above = shown.saturating_sub(height / 2).min(lines.len().saturating_sub(height));
    frame.render_widget(Paragraph::new(lines).block(block).scroll((above as u16, 0)), area);
}

fn row(track: &Track, now: Duration) -> Line<'static> {
    let (mark, style) = mark(track.state());
    let after = match (&track.result, track.from) {
        (Some(row), _) if row.outcome == Outcome::NotProvoked => row.outcome.as_str().to_owned(),
        (Some(row), _) => {
            let after = row.after_ms.map_or_else(String::new, words::milliseconds);
            let verdict = plain(row.verdict.as_deref().unwrap_or_default());
            format!("{:<6} {after:>8}  {verdict}", row.outcome.as_str())
        }
        (None, Some(from)) if track.until.is_none() => {
            format!("for {}", words::length(now.saturating_sub(from)))
        }
        (None, Some(_)) => "is over".to_owned(),
        (None, None) => String::new(),
    };
    let fault = format!(" {mark} {:<15}", track.planned.fault);
    Line::from(vec![Span::styled(fault, style), Span::raw(after)])
}

const fn mark(state: State) -> (char, Style) {
    match state {
        State::Waiting => ('·', QUIET),
        State::Provoking => ('▶', BUSY),
        State::Judging => ('…', BUSY),
        State::Judged(Outcome::Right) => ('✓', GOOD),
        State::Judged(Outcome::NotProvoked) => ('–', QUIET),
        State::Judged(Outcome::Wrong | Outcome::Missed | Outcome::FalseReport) => ('✗', BAD),
    }
}

/// The loops that serve.
fn servers(history: &History) -> Vec<LoopName> {
    history.loads().back().map_or_else(Vec::new, |figure| {
        figure.servers.iter().map(|served| served.event_loop).take(LoopName::ALL.len()).collect()
    })
}

fn load(frame: &mut Frame<'_>, area: Rect, history: &History, servers: &[LoopName]) {
    let block = Block::bordered().title("load: requests/s, and the time within which 99 of 100 are answered");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let rows = Layout::vertical(vec![Constraint::Length(1); 2 * servers.len()]).split(inner);
    for (&event_loop, rows) in servers.iter().zip(rows.chunks(2)) {
        let Some(now) = history.served(event_loop) else { continue };
        let busy = format!("{:>9} requests/s", grouped(now.requests_per_s.round() as usize));
        let slow = match now.p99 {
            Some(p99) => format!("p99 {:>9}", words::length(p99)),
            None => format!("no answer for {:>9}", words::length(now.waiting)),
        };
        let style = if now.p99.is_some() { Style::new() } else { BAD };
        let counts = |served: &Served| served.requests_per_s.max(0.0).round() as u64;
        let times = |served: &Served| words::slowest(served).as_micros() as u64;
        let name = event_loop.as_str();
        curve(frame, rows[0], Line::raw(format!("{name:<20}{busy:>20}")), history, event_loop, counts, GOOD);
        curve(frame, rows[1], Line::styled(format!("{slow:>40}"), style), history, event_loop, times, BUSY);
    }
}

/// A figure, and beside it how it was before.
fn curve(
    frame: &mut Frame<'_>,
    area: Rect,
    figure: Line<'_>,
    history: &History,
    event_loop: LoopName,
    value: impl Fn(&Served) -> u64,
    style: Style,
) {
    let [words, before] = Layout::horizontal([Constraint::Length(FIGURES), Constraint::Min(0)]).areas(area);
    frame.render_widget(figure, words);
    let newest_first = history.loads().iter().rev().take(before.width as usize);
    let mut values: Vec<_> = newest_first
        .map(|figure| figure.servers.iter().find(|served| served.event_loop == event_loop).map(&value))
        .collect();
    values.reverse();
    frame.render_widget(Sparkline::default().data(values).style(style), before);
}

fn events(frame: &mut Frame<'_>, area: Rect, history: &History, chosen: Chosen) {
    let known = history.forgotten() + history.events().len();
    let block = Block::bordered().title(format!("events, newest first: {}", grouped(known)));
    let height = block.inner(area).height as usize;
    let chosen = chosen.place(history);
    // Newest first, from so far down that the chosen one is in sight.
    let down = chosen.map_or(0, |place| history.events().len() - 1 - place);
    let above = down.saturating_sub(height.saturating_sub(1));
    let newest_first = history.events().iter().enumerate().rev().skip(above).take(height);
    let lines: Vec<_> = newest_first
        .map(|(place, event)| {
            let line = title(event, history);
            if chosen == Some(place) { line.patch_style(Modifier::REVERSED) } else { line }
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn title(event: &Seen, history: &History) -> Line<'static> {
    let mark = if event.is_false { Span::styled("false report: ", BAD) } else { Span::raw("") };
    let row = event.row.and_then(|row| history.tracks().get(row)).map(|track| track.planned);
    let title = plain(&event.title);
    // Reports begin with the loop, which leaves little room for the rest.
    let words = match row {
        Some(row) => match title.strip_prefix(&format!("loop {}", row.event_loop)) {
            Some(rest) => format!("{}{rest}", words::planned(&row)),
            None => format!("{}: {title}", words::planned(&row)),
        },
        None => title.into_owned(),
    };
    vec![Span::styled(format!("{:>9}  ", words::clock(event.at)), QUIET), mark, Span::raw(words)].into()
}

/// The title in full, and the report's lines; those that do not fit are broken.
fn report(frame: &mut Frame<'_>, area: Rect, history: &History, chosen: Chosen) {
    let block = Block::bordered().title("its report");
    let mut lines = Vec::new();
    if let Some(event) = chosen.place(history).and_then(|place| history.events().get(place)) {
        lines.push(Line::styled(plain(&event.title).into_owned(), HEAD));
        lines.extend(event.lines.iter().map(|line| Line::raw(plain(line).into_owned())));
    }
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), area);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{
        history::sample::{PLANNED, event, history, moments, ms},
        record::Moment,
    };
    use ratatui::{Terminal, backend::TestBackend};

    /// What is on a terminal of that size, as lines without the space at their ends.
    fn drawn(width: u16, height: u16, history: &History, chosen: Chosen) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, history, chosen)).unwrap();
        let buffer = terminal.backend().buffer();
        (0..height)
            .map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned())
            .collect()
    }

    /// What the sample run tells up to and with the event of its second row.
    fn in_the_second_row() -> History {
        let is_event = |moment: &Moment| matches!(moment, Moment::Event { .. });
        history(moments().iter().rposition(is_event).unwrap() + 1)
    }

    #[test]
    fn a_run_in_its_second_row_shows_plan_load_events_and_the_newest_report() {
        let expected = "
lab watch   T = 100 ms   2.104 s   row 2 of 4: mio, spin, expects OnCpu
┌plan──────────────────────────────────────────┐┌load: requests/s, and the time within which 99 of 100 are answered────┐
│tokio-current-thread                          ││tokio-current-thread        0 requests/s  █                           │
│ ✓ sleep          right    104 ms  InSyscall(c││                 no answer for     50 ms   ██                         │
│mio                                           ││mio                       900 requests/s  ███                         │
│ ▶ spin           for 104 ms                  ││                           p99   1.25 ms  ███                         │
│ · idle                                       │└──────────────────────────────────────────────────────────────────────┘
│process                                       │┌events, newest first: 2───────────────────────────────────────────────┐
│ · memory                                     ││  2.104 s  mio, spin: EventLoopBlocked: InSyscall, task upload        │
│                                              ││  1.104 s  tokio-current-thread, sleep: EventLoopBlocked: InSyscall, t│
│                                              ││                                                                      │
│                                              │└──────────────────────────────────────────────────────────────────────┘
│                                              │┌its report────────────────────────────────────────────────────────────┐
│                                              ││EventLoopBlocked: InSyscall, task upload                              │
│                                              ││EventLoopBlocked: InSyscall, task upload                              │
│                                              ││  0: lab::fault::sleep                                                │
│                                              ││  1: main                                                             │
│                                              ││                                                                      │
└──────────────────────────────────────────────┘└──────────────────────────────────────────────────────────────────────┘
q quits   ↑ ↓ choose an event   End the newest";
        let picture = drawn(120, 20, &in_the_second_row(), Chosen::default());
        assert_eq!(picture.join("\n"), expected.trim_start_matches('\n'));
    }

    #[test]
    fn at_the_end_each_row_has_its_outcome() {
        let picture = drawn(120, 20, &history(usize::MAX), Chosen::default()).join("\n");
        for row in [" ✓ sleep          right    104 ms", " ✗ spin           wrong    104 ms"] {
            assert!(picture.contains(row), "{picture}");
        }
        for row in [" ✓ idle           right ", " – memory         not_provoked "] {
            assert!(picture.contains(row), "{picture}");
        }
    }

    #[test]
    fn an_event_is_chosen_and_stays_chosen_when_another_comes() {
        let mut history = history(1);
        let mut chosen = Chosen::default();
        chosen.older(&history);
        chosen.newer(&history);
        assert_eq!(chosen.place(&history), None);
        for (at, name) in [(1, "first"), (2, "second"), (3, "third")] {
            history.take(event(at, 0, name));
        }
        let reported = |history: &History, chosen| {
            let picture = drawn(120, 24, history, chosen);
            let from = picture.iter().position(|line| line.contains("its report")).unwrap();
            picture[from + 1].rsplit("││").next().unwrap().trim_end_matches('│').trim_end().to_owned()
        };
        assert_eq!(reported(&history, chosen), "third");
        chosen.older(&history);
        history.take(event(4, 0, "fourth"));
        assert_eq!(reported(&history, chosen), "second");
        chosen.newer(&history);
        assert_eq!(reported(&history, chosen), "third");
        chosen.newer(&history);
        history.take(event(5, 0, "fifth"));
        assert_eq!(reported(&history, chosen), "fifth", "beyond the newest there is only what comes");
        (0..9).for_each(|_| chosen.older(&history));
        assert_eq!(reported(&history, chosen), "first");
        chosen.newest();
        assert_eq!(reported(&history, chosen), "fifth");
    }

    #[test]
    fn the_row_that_is_on_and_the_event_that_is_looked_at_are_in_sight_in_a_low_terminal() {
        let Moment::Began(mut plan) = moments().remove(0) else { panic!("a run begins") };
        let [_, spin, idle, _] = PLANNED;
        plan.rows = vec![spin; 40];
        plan.rows[30] = idle;
        let mut history = History::new();
        history.take(Moment::Began(plan));
        history.take(Moment::Provoking { row: 30, at: ms(1) });
        (0..50).for_each(|at| history.take(event(at, 0, &format!("number {at}"))));
        let mut chosen = Chosen::default();
        (0..40).for_each(|_| chosen.older(&history));
        let picture = drawn(110, 16, &history, chosen).join("\n");
        assert!(picture.contains("▶ idle"), "{picture}");
        assert!(picture.contains("mio, spin: number 9 "), "{picture}");
    }

    #[test]
    fn every_size_of_a_terminal_has_its_picture() {
        let history = in_the_second_row();
        for (width, height) in (1..20).flat_map(|n| [(n, n), (5 * n, n), (n, 30), (120, n)]) {
            drawn(width, height, &history, Chosen::default());
            drawn(width, height, &History::new(), Chosen::default());
        }
    }

    #[test]
    fn a_title_that_begins_with_its_loop_says_it_once_and_is_shown_in_full_below() {
        let mut history = history(1);
        let long = "loop mio, worker 0: blocked for 100ms by task 7, whose name is as long as can be: on CPU";
        history.take(event(1, 1, long));
        let picture = drawn(100, 24, &history, Chosen::default());
        let is_cut = |line: &String| line.contains("0.001 s  mio, spin, worker 0: blocked for 100ms");
        assert!(picture.iter().any(is_cut), "{picture:#?}");
        assert!(picture.iter().any(|line| line.contains("be: on CPU")), "{picture:#?}");
    }

    #[test]
    fn text_from_outside_is_shown_and_does_nothing() {
        let mut history = history(1);
        history.take(event(1, 0, "\x1b[2Jowned\r\n\u{202e}"));
        let picture = drawn(150, 24, &history, Chosen::default()).join("\n");
        assert_eq!(picture.matches("\\u{1b}[2Jowned\\r\\n\\u{202e}").count(), 3, "{picture}");
    }
}

//! `lab watch --html`: one page with the table, the time line, every report, and the machine.
//!
//! Owns the page. It takes nothing from elsewhere, its policy forbids it to, and whatever comes from outside is
//! escaped where it is put in.
//! Not here: the time line's drawing (`timeline.rs`), colours (`page.css`), where the page goes (`output.rs`).

use super::{
    history::{History, Seen},
    lines,
    record::{Outcome, Report, Row},
    timeline,
    words::{self, UNKNOWN, plain},
};
use crate::{
    machine::Machine,
    output::{CannotWrite, Destination},
    table::{counted, grouped},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The newest events are on the page, at most so many.
const EVENTS: usize = 1_000;
const STYLE: &str = include_str!("page.css");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Writes the page.
///
/// # Errors
/// When it cannot be written after all; a file that was there before is then unchanged.
pub fn write(report: &Report, history: &History, to: &mut Destination) -> Result<(), CannotWrite> {
    to.write_text(&page(report, history))
}

/// The page: a whole document, as text.
pub fn page(report: &Report, history: &History) -> String {
    let summary = lines::summary(report);
    let left_out = history.events().len().saturating_sub(EVENTS);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { "lab watch" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "lab watch" }
                p.verdict.(if report.is_right() { "good" } else { "bad" }) { (summary) }
                @if !history.is_over() {
                    p.bad { "The run was left before its end: only what was judged until then is here." }
                }
                (facts(report, history))
                h2 { "Faults" }
                (table(report))
                h2 { "Time line" }
                p.quiet {
                    "Pale: from the beginning of a row until it was judged; full: the fault itself; triangles: events. "
                    "Numbers are those of the table."
                }
                div.wide { (timeline::drawn(history, left_out)) }
                h2 { "Events" }
                (events(history, left_out))
            }
        }
    };
    page.into_string()
}

fn facts(report: &Report, history: &History) -> Markup {
    let Machine { cpu, cores, os, kernel, rustc, commit, profile, flags: _, barrier, load } = &report.machine;
    let load = load.map_or_else(|| UNKNOWN.to_owned(), |load| format!("{load:.2} tasks wanted a core"));
    let facts = [
        ("longest turn, T", words::milliseconds(report.max_blocking_ms)),
        ("run", words::length(history.now())),
        ("processor", format!("{cpu}, {}", counted(*cores, "core"))),
        ("system", format!("{os}, kernel {kernel}")),
        ("load before", load),
        ("compiler", format!("{rustc}, {profile}")),
        ("commit", commit.clone()),
        ("barrier", barrier.clone()),
    ];
    html! {
        dl {
            @for (what, fact) in &facts {
                dt { (what) }
                dd { (plain(fact)) }
            }
        }
    }
}

fn table(report: &Report) -> Markup {
    let head = [
        "#",
        "fault",
        "",
        "seen",
        "after",
        "lasted",
        "reports",
        "expected",
        "verdict",
        "task",
        "top of stack",
    ];
    let mut rows: Vec<_> = report.faults.iter().enumerate().collect();
    rows.sort_by_key(|(_, row)| row.event_loop);
    html! {
        div.wide {
            table {
                thead { tr { @for word in head { th scope="col" { (word) } } } }
                @for of_loop in rows.chunk_by(|(_, a), (_, b)| a.event_loop == b.event_loop) {
                    tbody {
                        tr { th.loop scope="rowgroup" colspan=(head.len()) { (of_loop[0].1.event_loop) } }
                        @for &(place, row) in of_loop { (row_of(place, row)) }
                    }
                }
            }
        }
    }
}

fn row_of(place: usize, row: &Row) -> Markup {
    let known = |text: &Option<String>| plain(text.as_deref().unwrap_or(UNKNOWN)).into_owned();
    let time = |ms: Option<f64>| ms.map_or_else(|| UNKNOWN.to_owned(), words::milliseconds);
    let noted = !row.note.is_empty();
    html! {
        tr.noted[noted] {
            td.number { (place + 1) }
            td.name { (row.fault) }
            td.outcome.(class(row.outcome)) { (row.outcome.as_str()) }
            td { (if row.seen { "yes" } else { "no" }) }
            td.number { (time(row.after_ms)) }
            td.number { (time(row.lasted_ms)) }
            td.number { (grouped(row.reports)) }
            td { (plain(&row.expected)) }
            // That it was not provoked is said once.
            td { (if row.outcome == Outcome::NotProvoked { UNKNOWN.to_owned() } else { known(&row.verdict) }) }
            td.bad[row.task_right == Some(false)] { (words::task(row)) }
            td.frame { code { (path(&known(&row.top_frame))) } }
        }
        @if noted {
            tr.note { td {} td colspan="10" { (plain(&row.note)) } }
        }
    }
}

/// A path that may be broken into lines between its parts.
fn path(path: &str) -> Markup {
    html! {
        @for (place, part) in path.split("::").enumerate() {
            @if place > 0 { "::" wbr; }
            (part)
        }
    }
}

/// How an outcome is coloured, beside being written.
pub fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Right => "good",
        Outcome::Wrong | Outcome::Missed | Outcome::FalseReport => "bad",
        Outcome::NotProvoked => "none",
    }
}

fn events(history: &History, left_out: usize) -> Markup {
    let earlier = left_out + history.forgotten();
    html! {
        @if earlier > 0 {
            p.quiet { "The newest " (counted(EVENTS, "event")) "; " (counted(earlier, "earlier one")) " left out." }
        }
        @if history.events().is_empty() {
            p.quiet { "None." }
        }
        @for (place, event) in history.events().iter().enumerate().skip(left_out) {
            (folded(place, event, history))
        }
    }
}

/// A report that is opened by a click on its first line.
fn folded(place: usize, event: &Seen, history: &History) -> Markup {
    let row = event.row.and_then(|row| history.tracks().get(row));
    html! {
        details {
            summary id=(format_args!("event-{place}")) {
                span.quiet { (words::clock(event.at)) " " @if let Some(row) = row { (words::planned(&row.planned)) ": " } }
                @if event.is_false { span.bad { "false report: " } }
                (plain(&event.title))
            }
            pre { @for line in &event.lines { (plain(line)) "\n" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{
        history::sample::{event, history, row},
        record::Moment,
    };
    use html5gum::{Token, Tokenizer};

    /// What a browser reads: all text, and all values of attributes. Fails on anything that is not well formed.
    fn read(page: &str) -> (String, Vec<(String, String, String)>) {
        let (mut text, mut attributes, mut open) = (String::new(), Vec::new(), Vec::new());
        let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        for token in Tokenizer::new(page) {
            match token.unwrap() {
                Token::StartTag(tag) => {
                    let name = utf8(&tag.name);
                    for (key, value) in &tag.attributes {
                        attributes.push((name.clone(), utf8(key), utf8(value)));
                    }
                    if !matches!(name.as_str(), "meta" | "wbr") && !tag.self_closing {
                        open.push(name);
                    }
                }
                Token::EndTag(tag) => assert_eq!(open.pop(), Some(utf8(&tag.name)), "tags are nested"),
                Token::String(string) => text += &utf8(&string),
                Token::Error(error) => panic!("{error:?} in {page}"),
                Token::Doctype(doctype) => assert_eq!(utf8(&doctype.name), "html"),
                Token::Comment(comment) => panic!("a comment: {comment:?}"),
            }
        }
        assert!(open.is_empty(), "left open: {open:?}");
        (text, attributes)
    }

    fn whole() -> (Report, History) {
        let history = history(usize::MAX);
        (history.report().unwrap(), history)
    }

    #[test]
    fn the_page_is_well_formed_and_has_every_fact_with_its_unit() {
        let (report, history) = whole();
        let (text, _) = read(&page(&report, &history));
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "4 rows: 2 right, 1 wrong, 1 not_provoked; 0 reports while nothing was wrong",
            "longest turn, T100 ms",
            "run4.30 s",
            "Example 9000, 2 cores",
            "linux x86_64, kernel 6.1",
            "0.25 tasks wanted a core",
            "tokio-current-thread1sleeprightyes104 ms135 ms1InSyscallInSyscall(clock_nanosleep)uploadlab::fault::sleep",
            "mio2spinwrongyes104 ms135 ms1OnCpuInSyscall(clock_nanosleep)upload (wrong)lab::fault::sleepanother task was named",
            "memory cannot be measured here",
            "1.104 s tokio-current-thread, sleep: EventLoopBlocked: InSyscall, task upload",
            "0: lab::fault::sleep 1: main",
            "up to 2,100 requests/s",
        ] {
            assert!(words.contains(part), "no {part:?} in {words}");
        }
        assert!(!words.contains("left before its end"));
    }

    #[test]
    fn rows_of_one_loop_stand_together_and_keep_their_numbers() {
        let (mut report, history) = whole();
        report.faults.push(row(0, Outcome::Right));
        let (text, _) = read(&page(&report, &history));
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words.matches("tokio-current-thread1sleep").count(), 1);
        assert!(words.find("5sleepright") < words.find("mio2spin"), "{words}");
        assert!(words.contains("5sleepright"), "{words}");
    }

    #[test]
    fn every_report_is_folded_and_the_time_line_leads_to_it() {
        let (report, history) = whole();
        let page = page(&report, &history);
        let (_, attributes) = read(&page);
        assert_eq!(page.matches("<details>").count(), 2);
        let of = |element: &str, key: &str| {
            let is = |(e, k, _): &&(String, String, String)| e == element && k == key;
            attributes.iter().filter(is).map(|(.., value)| value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(of("summary", "id"), ["event-0", "event-1"]);
        assert_eq!(of("a", "href"), ["#event-0", "#event-1"]);
    }

    #[test]
    fn nothing_is_taken_from_elsewhere_and_nothing_runs() {
        let (report, history) = whole();
        let page = page(&report, &history);
        let (_, attributes) = read(&page);
        for (element, key, value) in &attributes {
            assert!(!key.starts_with("on") && key != "src", "{element} {key}={value}");
            assert!(key != "href" || value.starts_with("#event-"), "{element} {key}={value}");
            assert!(!value.contains("://"), "{element} {key}={value}");
        }
        for outside in ["<script", "<link", "<img", "<iframe", "url(", "@import", "://"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(attributes.iter().any(|(.., value)| value == POLICY));
    }

    #[test]
    fn names_from_outside_are_text_and_nothing_else() {
        let evil =
            "\"'><img src=x onerror=alert(1)></title></style></pre></details><script>&amp;\0\x1b\u{202e}";
        let (mut report, mut history) = whole();
        let tags = |page: &str| page.matches('<').count();
        let harmless = "harmless";
        let with = |text: &str, report: &mut Report, history: &mut History| {
            let row = &mut report.faults[0];
            for place in [&mut row.task, &mut row.verdict, &mut row.top_frame] {
                *place = Some(text.to_owned());
            }
            (row.note, row.expected) = (text.to_owned(), text.to_owned());
            let machine = &mut report.machine;
            for place in [&mut machine.cpu, &mut machine.kernel, &mut machine.commit, &mut machine.rustc] {
                *place = text.to_owned();
            }
            history.take(event(3_000, 0, text));
            page(report, history)
        };
        let expected = tags(&with(harmless, &mut report.clone(), &mut history.clone()));
        let page = with(evil, &mut report, &mut history);
        assert_eq!(tags(&page), expected, "no tag more than with harmless names");
        let (text, _) = read(&page);
        let shown = plain(evil);
        assert!(shown.contains("<img") && shown.ends_with("&amp;\\u{0}\\u{1b}\\u{202e}"), "{shown}");
        // Task, verdict, frame, note, what was expected; four facts; an event's title and first line, and on the
        // time line its title.
        assert_eq!(text.matches(&*shown).count(), 5 + 4 + 2 + 1, "{text}");
    }

    #[test]
    fn a_run_that_broke_off_says_so_and_one_with_too_many_events_says_how_many_are_left_out() {
        let mut history = history(1);
        for at in 0..EVENTS as u64 + 5 {
            history.take(event(at, 0, "EventLoopBlocked"));
        }
        history.take(Moment::Finished {
            row: 0,
            at: std::time::Duration::from_secs(2),
            result: row(0, Outcome::Missed),
        });
        let page = page(&history.report().unwrap(), &history);
        let (text, _) = read(&page);
        assert!(text.contains("left before its end"));
        assert!(text.contains("The newest 1,000 events; 5 earlier ones left out."), "{text}");
        assert_eq!(page.matches("<details>").count(), EVENTS);
        assert!(page.contains("\"#event-5\"") && !page.contains("\"#event-4\""));
    }

    #[test]
    fn a_run_of_which_nothing_is_known_is_a_page() {
        let history = history(1);
        let (text, _) = read(&page(&history.report().unwrap(), &history));
        assert!(text.contains("0 rows; 0 reports") && text.contains("None."), "{text}");
    }
}

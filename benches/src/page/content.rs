//! What a report says, whoever shows it: chapters of the same conditions, groups of the same subscribers, a row for each figure.
//!
//! Owns which figures stand together, their medians and ranges, ratios to the first file, and who is best of a group.
//! Not here: the words for it (`words.rs`), the ways to show it (`html.rs`, `markdown.rs`, `summary.rs`).

use super::{
    case::{Case, counted},
    source::{self, Source},
};
use crate::{
    measure::{Better, Curve, Measure, Unit},
    path::PathName,
    stats::Spread,
};
use std::collections::{BTreeMap, HashMap};

/// All of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The files, in the order they were named; the first is the one that ratios are to.
    pub sources: Vec<Source>,
    /// What to be wary of.
    pub remarks: Vec<String>,
    /// In the order of the files.
    pub chapters: Vec<Chapter>,
}

/// Cases that were measured under the same conditions, but for the subscribers.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// `1 publisher, 1,000,000/s`; empty where names of cases say nothing of the kind.
    pub title: String,
    /// By number of subscribers.
    pub groups: Vec<Group>,
}

/// Cases that differ in their subject alone: these can be laid side by side.
#[derive(Clone, Debug)]
pub struct Group {
    /// Registered subscribers, where the names say so.
    pub subscribers: Option<u64>,
    /// The title of the chapter with the subscribers.
    pub title: String,
    /// By subject, in the order of the files; the figures of one subject together.
    pub rows: Vec<Row>,
    /// Curves with the place of their file.
    pub curves: Vec<(usize, Curve)>,
}

/// One figure of one case, in each file.
#[derive(Clone, Debug)]
pub struct Row {
    /// The whole name.
    pub case: String,
    /// Who.
    pub subject: String,
    /// Which figure.
    pub metric: String,
    /// Its unit.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// One a file; none where that file has no such figure.
    pub figures: Vec<Option<Figure>>,
}

/// What several repeats came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Middle, lowest and highest.
    pub spread: Spread,
    /// How many.
    pub repeats: usize,
}

impl Report {
    /// Of these files.
    pub fn of(sources: Vec<Source>) -> Self {
        let mut remarks = source::remarks(&sources);
        let mut gathered = Gathered { files: sources.len(), ..Gathered::default() };
        for (file, Source { name, saved }) in sources.iter().enumerate() {
            let mut left_out = 0;
            for measure in &saved.measures {
                match Figure::of(&measure.repeats) {
                    Some(figure) => gathered.take(file, measure, figure),
                    None => left_out += 1,
                }
            }
            if left_out > 0 {
                remarks.push(format!(
                    "{name}: {} left out, without one value that is a number.",
                    counted(left_out, "figure")
                ));
            }
            for curve in &saved.curves {
                gathered.group(&curve.case).curves.push((file, curve.clone()));
            }
        }
        remarks.extend(gathered.mixed_units());
        let mut chapters = gathered.chapters;
        chapters.iter_mut().for_each(|chapter| chapter.groups.sort_by_key(|group| group.subscribers));
        for group in chapters.iter_mut().flat_map(|chapter| &mut chapter.groups) {
            let mut places = HashMap::new();
            for row in &group.rows {
                let next = places.len();
                places.entry(row.subject.clone()).or_insert(next);
            }
            group.rows.sort_by_key(|row| places[&row.subject]);
        }
        Self { sources, remarks, chapters }
    }

    /// Whether there is more than one file.
    pub fn compares(&self) -> bool {
        self.sources.len() > 1
    }

    /// All rows, chapter by chapter.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.chapters.iter().flat_map(|chapter| &chapter.groups).flat_map(|group| &group.rows)
    }

    /// The names of the files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| source.name.as_str())
    }
}

/// Chapters while they fill, and where in them each name and figure is: ten thousand figures must not be searched for.
#[derive(Default)]
struct Gathered {
    files: usize,
    chapters: Vec<Chapter>,
    by_conditions: HashMap<String, usize>,
    by_subscribers: HashMap<(usize, Option<u64>), usize>,
    by_figure: HashMap<(String, String, &'static str), usize>,
}

impl Gathered {
    fn group(&mut self, name: &str) -> &mut Group {
        let case = Case::of(name);
        let title = case.conditions();
        let next = self.chapters.len();
        let chapter = *self.by_conditions.entry(title.clone()).or_insert(next);
        if chapter == next {
            self.chapters.push(Chapter { title: title.clone(), groups: Vec::new() });
        }
        let groups = &mut self.chapters[chapter].groups;
        let next = groups.len();
        let group = *self.by_subscribers.entry((chapter, case.subscribers)).or_insert(next);
        if group == next {
            let subscribers = case.subscribers.map(|count| counted(count, "subscriber"));
            let parts = subscribers.into_iter().chain((!title.is_empty()).then_some(title));
            groups.push(Group {
                subscribers: case.subscribers,
                title: parts.collect::<Vec<_>>().join(", "),
                rows: Vec::new(),
                curves: Vec::new(),
            });
        }
        &mut groups[group]
    }

    fn take(&mut self, file: usize, measure: &Measure, figure: Figure) {
        let files = self.files;
        let Measure { case, metric, unit, better, .. } = measure;
        let key = (case.clone(), metric.clone(), unit_in_words(*unit));
        let known = self.by_figure.get(&key).copied();
        let group = self.group(case);
        let place = known.unwrap_or_else(|| {
            group.rows.push(Row {
                case: case.clone(),
                subject: Case::of(case).subject,
                metric: metric.clone(),
                unit: *unit,
                better: *better,
                figures: vec![None; files],
            });
            group.rows.len() - 1
        });
        // Should a file have the same figure twice, the first stands.
        group.rows[place].figures[file].get_or_insert(figure);
        self.by_figure.insert(key, place);
    }

    fn mixed_units(&self) -> Option<String> {
        let mut units = BTreeMap::<(&str, &str), Vec<&str>>::new();
        for (case, metric, unit) in self.by_figure.keys() {
            units.entry((case, metric)).or_default().push(unit);
        }
        let mut mixed = units.into_iter().filter(|(_, units)| units.len() > 1);
        let ((case, metric), mut units) = mixed.next()?;
        units.sort_unstable();
        let more = match mixed.count() as u64 {
            0 => String::new(),
            more => format!(", nor are those of {}", counted(more, "other figure")),
        };
        Some(format!(
            "{metric} of {case} has several units ({}): these are not compared{more}.",
            units.join(", ")
        ))
    }
}

/// A unit as it is written beside a figure.
pub const fn unit_in_words(unit: Unit) -> &'static str {
    match unit {
        Unit::Nanoseconds => "ns",
        Unit::PerSecond => "1/s",
        Unit::Instructions => "instructions",
        Unit::Percent => "%",
        Unit::Bytes => "bytes",
        Unit::Times => "×",
    }
}

impl Figure {
    /// Of the values that are numbers; none if there is none.
    fn of(repeats: &[f64]) -> Option<Self> {
        let numbers: Vec<_> = repeats.iter().copied().filter(|value| value.is_finite()).collect();
        (!numbers.is_empty()).then(|| Self { spread: Spread::of(&numbers), repeats: numbers.len() })
    }

    /// The middle.
    pub const fn median(&self) -> f64 {
        self.spread.median
    }
}

impl Row {
    /// How many times the first file's median a file's is; none without both, or where the first is 0.
    pub fn ratio(&self, file: usize) -> Option<f64> {
        let (first, other) = (self.figures.first()?.as_ref()?, self.figures.get(file)?.as_ref()?);
        let ratio = other.median() / first.median();
        ratio.is_finite().then_some(ratio)
    }

    /// The dispatch path that it is about, if it is about one.
    pub fn path(&self) -> Option<PathName> {
        PathName::ALL.into_iter().find(|path| path.as_str() == self.subject)
    }

    /// Whether its subject takes part in the question who is best. A raw loop does not, nor do paths that do other work.
    pub fn competes(&self) -> bool {
        self.path().is_none_or(PathName::competes)
    }

    /// Whether it is a floor, with which nobody can register.
    pub fn is_floor(&self) -> bool {
        self.path().is_some_and(PathName::is_floor)
    }

    /// Whether it is signalpost, in one of its ways.
    pub fn is_ours(&self) -> bool {
        let path = self.path();
        self.subject.starts_with("signalpost")
            || path.is_some_and(|path| matches!(path, PathName::Bus | PathName::BusTopic))
    }
}

/// How a row stands among those that compete for the same figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The best median.
    Best,
    /// Its repeats' range and that of the best overlap: no difference was shown.
    Level,
    /// Not as good.
    Behind,
    /// It takes no part, or there is nobody to compete with.
    Apart,
}

impl Group {
    /// The kinds of figures in it, each with its rows, in order.
    pub fn metrics(&self) -> Vec<Vec<&Row>> {
        let mut kinds: Vec<Vec<&Row>> = Vec::new();
        let mut places = HashMap::new();
        for row in &self.rows {
            let next = kinds.len();
            let place = *places.entry((row.metric.as_str(), unit_in_words(row.unit))).or_insert(next);
            if place == next {
                kinds.push(Vec::new());
            }
            kinds[place].push(row);
        }
        kinds
    }
}

/// How each of these rows, all of one figure, stands in one file. Of several that are best alike the first is.
pub fn standings(rows: &[&Row], file: usize) -> Vec<Standing> {
    // What is times something else says nothing of who is faster.
    let figure = |row: &Row| row.figures[file].filter(|_| row.competes() && row.unit != Unit::Times);
    let competing: Vec<_> =
        rows.iter().enumerate().filter_map(|(place, row)| Some((place, row.better, figure(row)?))).collect();
    let best = competing.iter().copied().reduce(|best, other| {
        let (a, b) = (best.2.median(), other.2.median());
        let is_better = if best.1 == Better::Lower { b < a } else { b > a };
        if is_better { other } else { best }
    });
    let Some((winner, _, best)) = best.filter(|_| competing.len() > 1) else {
        return vec![Standing::Apart; rows.len()];
    };
    let level =
        |figure: &Figure| figure.spread.min <= best.spread.max && best.spread.min <= figure.spread.max;
    rows.iter()
        .enumerate()
        .map(|(place, row)| match figure(row) {
            None => Standing::Apart,
            Some(_) if place == winner => Standing::Best,
            Some(figure) if level(&figure) => Standing::Level,
            Some(_) => Standing::Behind,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::sample::{self, EVIL, measure, median, report, saved};

    #[test]
    fn figures_stand_together_by_conditions_and_subscribers() {
        let report = report(vec![saved(), sample::run()]);
        let titles: Vec<_> = report.chapters.iter().map(|chapter| chapter.title.as_str()).collect();
        assert_eq!(titles, ["1 publisher", "1 publisher, 1,000,000/s"]);
        let groups = &report.chapters[0].groups;
        assert_eq!(groups[1].title, "16 subscribers, 1 publisher");
        let subjects: Vec<_> = groups[1].rows.iter().map(|row| row.subject.as_str()).collect();
        assert_eq!(subjects, ["raw-loop", "signalpost", "arc-swap-cache", "std-mutex"]);
        assert_eq!(report.chapters[1].groups[0].curves.len(), 2);
        assert!(report.rows().all(|row| row.figures.len() == 2));
    }

    #[test]
    fn subscribers_come_in_their_order_whatever_the_file_s() {
        let mut file = saved();
        file.measures = ["1,024 subscribers", "2 subscribers", "0 subscribers"]
            .map(|count| median(&format!("signalpost, {count}"), 1.0))
            .into();
        let groups = &report(vec![file]).chapters[0].groups;
        assert_eq!(
            groups.iter().map(|group| group.subscribers).collect::<Vec<_>>(),
            [Some(0), Some(2), Some(1024)]
        );
    }

    #[test]
    fn the_raw_loop_wins_nothing_and_what_overlaps_the_best_is_level() {
        let report = report(vec![saved()]);
        let of = |group: usize| standings(&report.chapters[0].groups[group].metrics()[0], 0);
        use Standing::{Apart, Behind, Best, Level};
        assert_eq!(of(0), [Apart, Behind, Best, Behind]);
        assert_eq!(of(1), [Apart, Best, Behind, Behind]);
        let mut file = saved();
        file.measures[5].repeats = vec![18.0, 20.3, 21.0];
        let close = sample::report(vec![file]);
        assert_eq!(standings(&close.chapters[0].groups[1].metrics()[0], 0), [Apart, Best, Level, Behind]);
    }

    #[test]
    fn more_is_better_where_the_figure_says_so() {
        let mut file = saved();
        file.measures = [("a", 10.0), ("b", 30.0)]
            .map(|(case, value)| measure(case, "throughput", Unit::PerSecond, &[value]))
            .into();
        assert_eq!(
            standings(&report(vec![file]).chapters[0].groups[0].metrics()[0], 0),
            [Standing::Behind, Standing::Best]
        );
    }

    #[test]
    fn of_those_that_are_best_alike_the_first_is_and_the_others_are_level() {
        let mut file = saved();
        file.measures = ["a", "b"].map(|case| median(case, 5.0)).into();
        let standings = |file| standings(&report(vec![file]).chapters[0].groups[0].metrics()[0], 0);
        assert_eq!(standings(file.clone()), [Standing::Best, Standing::Level]);
        file.measures.iter_mut().for_each(|measure| measure.unit = Unit::Times);
        assert_eq!(standings(file), [Standing::Apart; 2], "a multiple of something else wins nothing");
    }

    #[test]
    fn one_alone_competes_with_nobody() {
        let report = report(vec![sample::run()]);
        assert!(
            report.chapters[0].groups[0].metrics().iter().all(|rows| standings(rows, 0) == [Standing::Apart])
        );
    }

    #[test]
    fn ratios_are_to_the_first_file_and_none_where_one_has_no_figure() {
        let (a, mut b) = (saved(), sample::slower("", 2.0).saved);
        b.measures.pop();
        let report = report(vec![a, b]);
        let rows: Vec<_> = report.rows().collect();
        assert_eq!(rows[0].ratio(1), Some(2.0));
        assert_eq!(rows[0].ratio(0), Some(1.0));
        assert_eq!(rows.last().unwrap().ratio(1), None);
    }

    #[test]
    fn what_is_no_number_is_left_out_and_said() {
        let mut file = saved();
        file.measures[0].repeats = vec![f64::NAN, f64::INFINITY];
        file.measures[1].repeats = vec![f64::NAN, 20.0];
        file.measures[2].repeats = Vec::new();
        let report = report(vec![file]);
        assert_eq!(report.remarks, ["0.json: 2 figures left out, without one value that is a number."]);
        assert_eq!(report.rows().count(), 6);
        let loops = report.rows().find(|row| row.subject == "raw-loop").unwrap();
        assert_eq!(loops.figures[0].unwrap().repeats, 1);
    }

    #[test]
    fn one_figure_in_two_units_is_two_rows_and_said() {
        let (a, mut b) = (saved(), saved());
        b.measures.iter_mut().for_each(|measure| measure.unit = Unit::Instructions);
        let report = report(vec![a, b]);
        assert!(
            report.remarks[0].contains("has several units (instructions, ns): these are not compared, nor are those of 7 other figures."),
            "{:?}",
            report.remarks
        );
        assert!(report.rows().all(|row| row.ratio(1).is_none()));
    }

    #[test]
    fn names_from_outside_and_ten_thousand_of_them_do_no_harm() {
        let mut file = saved();
        file.measures =
            (0..10_000).map(|n| median(&format!("{EVIL}{n}, {} subscribers", n % 100), n as f64)).collect();
        assert_eq!(report(vec![file]).rows().count(), 10_000);
    }
}

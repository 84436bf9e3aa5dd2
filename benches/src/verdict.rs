//! Who wins, in words.
//!
//! Owns the comparison of dispatchers with each other. The raw loops take no part: nothing could
//! be registered with them. Nor do the mixed paths and the buses, whose scenario is another, and the paths that do other work.

use crate::{
    path::{PathName, WALK_ONLY_ABOVE},
    stats,
    survey::Survey,
    table::{counted, grouped},
};
use std::fmt::Write;

/// The fastest at one place, and those that cannot be told from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing<T = PathName> {
    /// The lowest median.
    pub winner: T,
    /// Whose differences to the winner are none in at least a quarter of the rounds.
    pub level: Vec<T>,
}

/// Who is fastest at one place; none unless at least two dispatchers were measured there.
pub fn standing(survey: &Survey, subscribers: usize, publishers: usize) -> Option<Standing> {
    let paths = survey.paths(publishers).into_iter().filter(|path| path.competes());
    let rounds = paths.filter_map(|path| Some((path, survey.rounds(path, subscribers, publishers)?)));
    fastest(&rounds.collect::<Vec<_>>())
}

/// Who is fastest of those that were measured in the same rounds; none of fewer than two.
pub fn fastest<T: Copy>(measured: &[(T, &[f64])]) -> Option<Standing<T>> {
    if measured.len() < 2 {
        return None;
    }
    let mut by_median: Vec<_> =
        measured.iter().map(|&(who, rounds)| (who, rounds, stats::median(rounds))).collect();
    by_median.sort_by(|a, b| a.2.total_cmp(&b.2));
    let (winner, best, _) = by_median[0];
    let is_level = |rounds| stats::quantile(&stats::differences(rounds, best), 0.25) <= 0.0;
    let others = by_median[1..].iter().filter(|(_, rounds, _)| is_level(rounds));
    Some(Standing { winner, level: others.map(|&(who, ..)| who).collect() })
}

/// A few sentences for each count of publishers.
pub fn in_words(survey: &Survey) -> String {
    let mut text = String::new();
    for publishers in survey.publishers() {
        let label = format!("{}: ", counted(publishers, "publisher"));
        let sentences: Vec<_> =
            [wins(survey, publishers), ratios(survey, publishers), mixed(survey, publishers)]
                .into_iter()
                .flatten()
                .collect();
        if !sentences.is_empty() {
            writeln!(text, "  {label}{}", sentences.join("\n    ")).expect("a string takes text");
        }
    }
    text
}

/// Who wins where.
fn wins(survey: &Survey, publishers: usize) -> Option<String> {
    let mut clauses: Vec<(String, Vec<String>)> = Vec::new();
    for count in survey.subscribers(publishers) {
        let Some(Standing { winner, level }) = standing(survey, count, publishers) else {
            continue;
        };
        let mut names = vec![winner];
        names.extend(level);
        names.sort_unstable();
        let who = match names.as_slice() {
            [one] => format!("{one} wins"),
            several => {
                let several: Vec<_> = several.iter().map(|name| name.as_str().to_owned()).collect();
                format!("{} are level", listed(&several))
            }
        };
        match clauses.iter_mut().find(|(other, _)| *other == who) {
            Some((_, counts)) => counts.push(grouped(count)),
            None => clauses.push((who, vec![grouped(count)])),
        }
    }
    let clauses: Vec<_> =
        clauses.iter().map(|(who, counts)| format!("{who} at {}", listed(counts))).collect();
    (!clauses.is_empty()).then(|| format!("By subscribers: {}.", clauses.join("; ")))
}

/// Each dispatcher's time beside the raw loop's, over all counts from 1 on.
fn ratios(survey: &Survey, publishers: usize) -> Option<String> {
    let counts: Vec<_> = survey
        .subscribers(publishers)
        .into_iter()
        .filter(|count| (1..=WALK_ONLY_ABOVE).contains(count))
        .collect();
    let mut means: Vec<_> = survey
        .paths(publishers)
        .into_iter()
        .filter(|path| path.competes())
        .filter_map(|path| {
            let ratios: Vec<_> =
                counts.iter().filter_map(|&count| survey.over_floor(path, count, publishers)).collect();
            (!ratios.is_empty()).then(|| (path, stats::geometric_mean(&ratios)))
        })
        .collect();
    means.sort_by(|a, b| a.1.total_cmp(&b.1));
    let listed: Vec<_> = means.iter().map(|(path, mean)| format!("{path} {mean:.2}")).collect();
    (!listed.is_empty())
        .then(|| format!("Times the raw loop (geometric mean from 1 subscriber on): {}.", listed.join(", ")))
}

/// What flat entries bring where the closures differ.
fn mixed(survey: &Survey, publishers: usize) -> Option<String> {
    let ratios: Vec<_> = survey
        .subscribers(publishers)
        .into_iter()
        .filter_map(|count| {
            let ratio = survey.over_floor(PathName::SignalpostMixed, count, publishers)?;
            Some(format!("{ratio:.2} at {}", grouped(count)))
        })
        .collect();
    (!ratios.is_empty()).then(|| {
        format!("With four closure types signalpost takes, times the mixed raw loop: {}.", ratios.join(", "))
    })
}

/// "a", "a and b", "a, b and c".
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::Place;

    fn survey(places: &[(PathName, usize, [f64; 4])]) -> Survey {
        Survey::of(places.iter().map(|&(path, subscribers, rounds)| {
            (Place { path, subscribers, publishers: 1 }, rounds.to_vec())
        }))
    }

    #[test]
    fn the_fastest_dispatcher_wins_and_the_raw_loop_takes_no_part() {
        let survey = survey(&[
            (PathName::RawLoop, 1, [1.0; 4]),
            (PathName::Signalpost, 1, [2.0; 4]),
            (PathName::StdMutex, 1, [9.0; 4]),
        ]);
        let expected = Standing { winner: PathName::Signalpost, level: vec![] };
        assert_eq!(standing(&survey, 1, 1), Some(expected));
        let words = in_words(&survey);
        assert!(words.starts_with("  1 publisher: By subscribers: signalpost wins at 1."), "{words}");
        assert!(words.contains("signalpost 2.00, std-mutex 9.00"), "{words}");
    }

    #[test]
    fn who_is_ahead_in_some_rounds_and_behind_in_others_is_level() {
        let survey = survey(&[
            (PathName::Signalpost, 4, [2.0, 3.0, 2.0, 3.0]),
            (PathName::ArcSwapCache, 4, [2.1, 2.9, 2.1, 2.95]),
        ]);
        let standing = standing(&survey, 4, 1).unwrap();
        assert_eq!(standing.level.len(), 1);
        assert!(in_words(&survey).contains("signalpost and arc-swap-cache are level at 4"));
    }

    #[test]
    fn one_dispatcher_alone_wins_nothing() {
        let survey = survey(&[(PathName::RawLoop, 1, [1.0; 4]), (PathName::Signalpost, 1, [2.0; 4])]);
        assert_eq!(standing(&survey, 1, 1), None);
    }
}

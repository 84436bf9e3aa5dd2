//! What is measured: one path, with so many subscribers and publishers, at one rate, while so much is registered.
//!
//! Owns the names of cases, for people and for files, and which cases a command line comes to.

use super::rate::Rate;
use crate::{
    path::PathName,
    table::{counted, grouped},
};

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// The path.
    pub path: PathName,
    /// Registered subscribers.
    pub subscribers: usize,
    /// Threads that publish.
    pub publishers: usize,
    /// Events a second, of all publishers together.
    pub rate: Rate,
    /// Registrations a second, each cancelled at once.
    pub churn: u32,
}

impl Case {
    /// Its name: the same in every run with the same settings.
    pub fn name(&self) -> String {
        let mut name = format!(
            "{}, {}, {}, {}",
            self.path,
            counted(self.subscribers, "subscriber"),
            counted(self.publishers, "publisher"),
            self.rate
        );
        if self.churn > 0 {
            name += &format!(", churn {}/s", grouped(self.churn as usize));
        }
        name
    }

    /// Its name in names of files and tags: small letters, digits, dots and hyphens.
    pub fn slug(&self) -> String {
        let mut slug =
            format!("{}-{}-subscribers-{}-publishers", self.path, self.subscribers, self.publishers);
        if self.churn > 0 {
            slug += &format!("-churn-{}", self.churn);
        }
        match self.rate {
            Rate::Max => slug + "-closed-loop",
            Rate::Fixed(rate) => slug + &format!("-{rate}-per-second"),
        }
    }

    /// Threads that want a core each.
    pub const fn threads(&self) -> usize {
        self.publishers + (self.churn > 0) as usize
    }
}

/// Every combination that can be measured, each once, in the order asked for.
///
/// # Errors
/// In words, when there is none, or when a path cannot change while it runs and registrations are asked for.
pub fn cases(
    paths: &[PathName],
    subscribers: &[u32],
    publishers: &[u32],
    rates: &[Rate],
    churns: &[u32],
) -> Result<Vec<Case>, String> {
    if churns.iter().any(|&churn| churn > 0)
        && let Some(path) = paths.iter().find(|path| !path.can_change())
    {
        let able: Vec<_> =
            PathName::ALL.iter().filter(|path| path.can_change()).map(|path| path.as_str()).collect();
        return Err(format!(
            "nothing can be registered with {path} while it runs\n\n\
             expected --churn 0 with it, or --paths with those that can change: {}.",
            able.join(", ")
        ));
    }
    let mut cases: Vec<Case> = Vec::new();
    for &path in paths {
        for subscribers in subscribers.iter().map(|&count| count as usize) {
            for publishers in publishers.iter().map(|&count| count as usize) {
                for &churn in churns {
                    for &rate in rates {
                        let case = Case { path, subscribers, publishers, rate, churn };
                        if path.is_measured_at(subscribers, publishers) && !cases.contains(&case) {
                            cases.push(case);
                        }
                    }
                }
            }
        }
    }
    if cases.is_empty() {
        let names: Vec<_> = paths.iter().map(|path| path.as_str()).collect();
        return Err(format!(
            "nothing to measure: {} at {subscribers:?} subscribers by {publishers:?} publishers\n\n\
             mixed paths need 16 to 10000 subscribers; above 10000 subscribers only raw-loop and signalpost\n\
             are measured, by one publisher. For more information, try '--help'.",
            names.join(", "),
        ));
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_has_one_name_for_people_and_one_for_files() {
        let case = Case {
            path: PathName::Signalpost,
            subscribers: 16,
            publishers: 1,
            rate: Rate::Fixed(1e6),
            churn: 0,
        };
        assert_eq!(case.name(), "signalpost, 16 subscribers, 1 publisher, 1,000,000/s");
        assert_eq!(case.slug(), "signalpost-16-subscribers-1-publishers-1000000-per-second");
        let case = Case { rate: Rate::Max, publishers: 2, churn: 10_000, ..case };
        assert_eq!(case.name(), "signalpost, 16 subscribers, 2 publishers, closed loop, churn 10,000/s");
        assert_eq!(case.slug(), "signalpost-16-subscribers-2-publishers-churn-10000-closed-loop");
        assert_eq!(case.threads(), 3);
    }

    #[test]
    fn every_combination_is_there_once() {
        let paths = [PathName::Signalpost, PathName::StdMutex];
        let cases = cases(&paths, &[0, 16, 16], &[1, 2], &[Rate::Max, Rate::Fixed(1e3)], &[0]).unwrap();
        assert_eq!(cases.len(), 2 * 2 * 2 * 2);
    }

    #[test]
    fn what_cannot_change_while_it_runs_is_refused_by_name() {
        let error = cases(&[PathName::Signalpost, PathName::RawLoop], &[1], &[1], &[Rate::Max], &[0, 100])
            .unwrap_err();
        assert!(error.contains("raw-loop") && error.contains("signalpost"), "{error}");
        let none = cases(&[PathName::StdMutex], &[20_000], &[1], &[Rate::Max], &[0]).unwrap_err();
        assert!(none.contains("nothing to measure"), "{none}");
    }
}

//! The name of a case taken apart: who, with how many subscribers and publishers, under which other conditions.
//!
//! Owns how such a name is read. A name that has no such parts is all subject, and stays whole.

/// `signalpost, 16 subscribers, 1 publisher, 1,000,000/s` in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Who was measured: a dispatch path, or a thing that was done.
    pub subject: String,
    /// Registered subscribers, where the name says so.
    pub subscribers: Option<u64>,
    /// Threads that publish, where the name says so.
    pub publishers: Option<u64>,
    /// What else was set, in the words of the name.
    pub others: Vec<String>,
}

impl Case {
    /// Takes a name apart.
    pub fn of(name: &str) -> Self {
        let mut parts = name.split(", ");
        let subject = parts.next().unwrap_or_default().to_owned();
        let mut case = Self { subject, subscribers: None, publishers: None, others: Vec::new() };
        for part in parts {
            match (number_of(part, "subscriber"), number_of(part, "publisher")) {
                (Some(count), _) if case.subscribers.is_none() => case.subscribers = Some(count),
                (_, Some(count)) if case.publishers.is_none() => case.publishers = Some(count),
                _ => case.others.push(part.to_owned()),
            }
        }
        case
    }

    /// The conditions but for the subject and the subscribers: cases that share them are looked at together.
    pub fn conditions(&self) -> String {
        let publishers = self.publishers.map(|count| counted(count, "publisher"));
        let parts: Vec<_> = publishers.into_iter().chain(self.others.iter().cloned()).collect();
        parts.join(", ")
    }
}

/// So many of something, in the words of a name.
pub fn counted(count: u64, what: &str) -> String {
    crate::table::counted(usize::try_from(count).unwrap_or(usize::MAX), what)
}

fn number_of(part: &str, what: &str) -> Option<u64> {
    let (number, word) = part.split_once(' ')?;
    (word.strip_suffix('s').unwrap_or(word) == what).then(|| number.replace(',', "").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart_and_thousands_are_one_number() {
        let case = Case::of("signalpost, 1,024 subscribers, 1 publisher, 1,000,000/s, churn 1,000/s");
        assert_eq!(
            (case.subject.as_str(), case.subscribers, case.publishers),
            ("signalpost", Some(1024), Some(1))
        );
        assert_eq!(case.others, ["1,000,000/s", "churn 1,000/s"]);
        assert_eq!(case.conditions(), "1 publisher, 1,000,000/s, churn 1,000/s");
    }

    #[test]
    fn a_name_without_such_parts_stays_whole() {
        for name in ["", "one by one", "<script>alert(1)</script>", "x subscribers of y"] {
            let case = Case::of(name);
            assert_eq!((case.subject.as_str(), case.conditions().as_str()), (name, ""));
        }
        let odd =
            Case::of("a, many subscribers, 99999999999999999999 publishers, 1 subscriber, 2 subscribers");
        assert_eq!(
            (odd.subscribers, odd.conditions().as_str()),
            (Some(1), "many subscribers, 99999999999999999999 publishers, 2 subscribers")
        );
    }
}

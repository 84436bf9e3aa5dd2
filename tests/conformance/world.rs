//! A case's classes as numbers of `types.rs`.

use crate::case::{self, Input, Op};
use crate::classes::linearize;
use crate::types;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The classes of a case, or the labels of its events, as numbers of `types.rs`.
pub(crate) struct World {
    pub(crate) lines: BTreeMap<String, Vec<String>>,
    pub(crate) numbers: HashMap<String, usize>,
    /// By number: whether another class has it as a base. `object` counts as one that has.
    pub(crate) has_subclasses: Vec<bool>,
}

impl World {
    pub(crate) fn new(input: &Input) -> Result<Self, String> {
        let classes = input.classes.as_deref().unwrap_or_default();
        if classes.len() > types::OBJECT {
            return Err(format!("expected at most {} classes, found {}", types::OBJECT, classes.len()));
        }
        let mut numbers = HashMap::from([(case::OBJECT.to_owned(), types::OBJECT)]);
        if input.classes.is_some() {
            numbers.extend(classes.iter().enumerate().map(|(number, class)| (class.name.clone(), number)));
        } else {
            // Each label is a type, as long as there are enough.
            let labels: BTreeSet<_> = input.ops().filter_map(Op::published).collect();
            numbers.extend(
                labels.iter().zip((0..types::OBJECT).cycle()).map(|(label, n)| ((*label).clone(), n)),
            );
        }
        let mut has_subclasses = vec![false; types::OBJECT + 1];
        for base in classes.iter().flat_map(|class| &class.bases).map(String::as_str).chain([case::OBJECT]) {
            has_subclasses[numbers[base]] = true;
        }
        Ok(Self { lines: linearize(classes)?, numbers, has_subclasses })
    }

    /// The families of each number: its linearization; without itself, if it has no subclasses.
    pub(crate) fn families(&self) -> Vec<Vec<usize>> {
        let mut families = vec![Vec::new(); types::OBJECT + 1];
        families[types::OBJECT].push(types::OBJECT);
        for (class, line) in &self.lines {
            let line = line.iter().map(|class| self.numbers[class]);
            families[self.numbers[class]] = line.filter(|number| self.has_subclasses[*number]).collect();
        }
        families
    }
}

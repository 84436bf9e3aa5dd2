//! The linearization of a class: C3, as Python computes it.

use crate::case::{Class, OBJECT};
use std::collections::BTreeMap;

/// The linearization of each class, most specific first; `object` is the last of each.
pub(crate) fn linearize(classes: &[Class]) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut lines = BTreeMap::from([(OBJECT.to_owned(), vec![OBJECT.to_owned()])]);
    for Class { name, bases } in classes {
        let bases = if bases.is_empty() { vec![OBJECT.to_owned()] } else { bases.clone() };
        let mut parts: Vec<Vec<String>> = bases.iter().map(|base| lines[base].clone()).collect();
        parts.push(bases);
        let mut line = vec![name.clone()];
        merge(&mut parts, &mut line)
            .map_err(|()| format!("class {name}: expected bases with a linearization"))?;
        lines.insert(name.clone(), line);
    }
    lines.remove(OBJECT);
    Ok(lines)
}

/// Takes the first head that is in no other part's tail, again and again.
fn merge(parts: &mut Vec<Vec<String>>, line: &mut Vec<String>) -> Result<(), ()> {
    loop {
        parts.retain(|part| !part.is_empty());
        if parts.is_empty() {
            return Ok(());
        }
        let in_no_tail = |head: &&String| !parts.iter().any(|part| part[1..].contains(head));
        let head = parts.iter().map(|part| &part[0]).find(in_no_tail).ok_or(())?.clone();
        parts.iter_mut().for_each(|part| part.retain(|class| *class != head));
        line.push(head);
    }
}

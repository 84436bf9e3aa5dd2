//! Source lines, and the functions that were inlined: by the debug information in the files.
//!
//! Owns that reading. Nothing of it is kept: it is tens of MiB.

use super::modules::Module;
use super::names::{self, Image, demangled};
use crate::stack::trace::{Frame, Place};
use addr2line::{Context, Location};
use gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use object::elf::FileHeader64;
use object::read::ReadCache;
use object::read::elf::{FileHeader, SectionHeader};
use std::collections::HashMap;
use std::io::SeekFrom;
use std::sync::Arc;

/// So much of one file, and no more.
const MOST: u64 = 256 << 20;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The functions at these places with their lines, and with those that were inlined before the one that they were inlined into.
pub(in crate::stack) fn frames_with_lines(places: &[Place]) -> Vec<Frame> {
    let named = names::frames(places);
    let mut lines: Vec<Vec<Frame>> = vec![Vec::new(); places.len()];
    for n in 0..places.len() {
        let Some(module) = &places[n].module else { continue };
        let of_it = |p: &Place| p.module.as_ref().is_some_and(|m| Arc::ptr_eq(m, module));
        if places[..n].iter().any(of_it) {
            continue;
        }
        let Some(sections) = sections(module) else { continue };
        let none = Vec::new();
        let section = |id: SectionId| -> Result<Slice<'_>, gimli::Error> {
            Ok(EndianSlice::new(sections.get(id.name()).unwrap_or(&none), LittleEndian))
        };
        let Ok(context) = Dwarf::load(section).and_then(Context::from_dwarf) else { continue };
        for k in (n..places.len()).filter(|&k| of_it(&places[k])) {
            let address = places[k].lookup().wrapping_sub(module.bias);
            lines[k] = at(&context, address, &named[k]).unwrap_or_default();
        }
    }
    let one = |(frame, lines): (Frame, Vec<Frame>)| if lines.is_empty() { vec![frame] } else { lines };
    named.into_iter().zip(lines).flat_map(one).collect()
}

/// What is at one address; the last has the symbol's name, which is the fuller one.
fn at(context: &Context<Slice<'_>>, address: u64, frame: &Frame) -> Option<Vec<Frame>> {
    let mut found = Vec::new();
    let mut all = context.find_frames(address).skip_all_loads().ok()?;
    while let Some(one) = all.next().ok()? {
        let name = one.function.as_ref().and_then(|function| Some(demangled(&function.raw_name().ok()?)));
        let Location { file, line, .. } =
            one.location.unwrap_or(Location { file: None, line: None, column: None });
        found.push(Frame { function: name, file: file.map(str::to_owned), line, ..frame.clone() });
    }
    let last = found.last_mut()?;
    last.function = frame.function.clone().or(last.function.take());
    Some(found)
}

/// The sections with debug information. Compressed ones are left out.
fn sections(module: &Module) -> Option<HashMap<String, Vec<u8>>> {
    let cache: ReadCache<Box<dyn Image>> = ReadCache::new(names::open(module)?);
    let header = FileHeader64::<object::LittleEndian>::parse(&cache).ok()?;
    let sections = header.sections(object::LittleEndian, &cache).ok()?;
    let mut ranges = Vec::new();
    for section in sections.iter() {
        let name = sections.section_name(object::LittleEndian, section).ok()?;
        let name = String::from_utf8_lossy(name).into_owned();
        let compressed = section.sh_flags(object::LittleEndian).contains(object::elf::SHF_COMPRESSED);
        if let (true, Some(range)) = (name.starts_with(".debug_"), section.file_range(object::LittleEndian))
            && !compressed
        {
            ranges.push((name, range));
        }
    }
    let size: u64 = ranges.iter().map(|(_, (_, len))| len).sum();
    if size == 0 || size > MOST {
        return None;
    }
    let mut image = cache.into_inner();
    let read = |(name, (offset, len)): (String, (u64, u64))| {
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        image.seek(SeekFrom::Start(offset)).ok()?;
        image.read_exact(&mut bytes).ok()?;
        Some((name, bytes))
    };
    ranges.into_iter().map(read).collect()
}

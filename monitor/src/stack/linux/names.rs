//! What code is called: by the symbol tables in the files.
//!
//! Owns the search, and the few names that are kept. Not here: source lines (`lines.rs`).
//!
//! A table is read once through in pieces for all that is asked of its file, and nothing of it is kept but the names found: the
//! tables of a large program are tens of MiB.

use super::memory;
use super::modules::Module;
use crate::stack::trace::{Frame, Place};
use object::LittleEndian;
use object::elf::{self, FileHeader64, Sym64};
use object::read::ReadCache;
use object::read::elf::{FileHeader, SectionHeader, Sym};
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::mem::size_of;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

type Header = FileHeader64<LittleEndian>;
type Symbol = Sym64<LittleEndian>;

/// How many names a module keeps.
const MOST_NAMES: usize = 2_048;
/// Symbols that are read at once.
const PIECE: usize = 1_024;
/// A longer name is none.
const LONGEST_NAME: usize = 1 << 16;
/// The kernel's own page is small.
const VDSO: &str = "[vdso]";

/// A file, or what is in memory of one.
pub(super) trait Image: Read + Seek {}

impl<T: Read + Seek> Image for T {}

/// The functions at these places.
pub(in crate::stack) fn frames(places: &[Place]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = places.iter().map(frame).collect();
    let mut done = vec![false; places.len()];
    for n in 0..places.len() {
        let Some(module) = places[n].module.as_ref().filter(|_| !done[n]) else { continue };
        let of_it = |p: &Place| p.module.as_ref().is_some_and(|m| Arc::ptr_eq(m, module));
        let here: Vec<usize> = (n..places.len()).filter(|&k| of_it(&places[k])).collect();
        let names = names(module, &here.iter().map(|&k| places[k].lookup()).collect::<Vec<_>>());
        for (&k, name) in here.iter().zip(names) {
            done[k] = true;
            frames[k].function = name.map(|name| demangled(&name));
        }
    }
    frames
}

fn frame(place: &Place) -> Frame {
    let address = place.address;
    let Some(module) = &place.module else { return Frame { address, ..Frame::default() } };
    Frame {
        address,
        module: Some(module.path.clone()),
        offset: address.wrapping_sub(module.bias),
        build_id: module.build_id.as_ref().map(|b| b.id.clone()),
        ..Frame::default()
    }
}

/// As it stands in the source, if it is a name of Rust.
pub(super) fn demangled(name: &str) -> String {
    match rustc_demangle::try_demangle(name) {
        Ok(name) => format!("{name:#}"),
        Err(_) => name.to_owned(),
    }
}

/// The symbols at these addresses in memory.
fn names(module: &Module, addresses: &[u64]) -> Vec<Option<Arc<str>>> {
    let known = || module.names.lock().unwrap_or_else(PoisonError::into_inner);
    let mut missing: Vec<u64> = {
        let known = known();
        addresses.iter().copied().filter(|address| !known.contains_key(address)).collect()
    };
    if missing.is_empty() {
        let known = known();
        return addresses.iter().map(|address| known.get(address).cloned().flatten()).collect();
    }
    missing.sort_unstable();
    missing.dedup();
    let wanted: Vec<u64> = missing.iter().map(|address| address.wrapping_sub(module.bias)).collect();
    let found = open(module).and_then(|image| search(image, &wanted).ok());
    let found = found.unwrap_or_else(|| vec![None; wanted.len()]);
    let mut known = known();
    if known.len() >= MOST_NAMES {
        known.clear();
    }
    known.extend(missing.into_iter().zip(found));
    addresses.iter().map(|address| known.get(address).cloned().flatten()).collect()
}

/// The file of a module, if it still is the one that was loaded.
pub(super) fn open(module: &Module) -> Option<Box<dyn Image>> {
    if *module.path == *VDSO {
        // All of it is in memory, two pages or four; how many, its last table says.
        let header = Header::parse(&*module.header).ok()?;
        let sections = u64::from(header.e_shnum(LittleEndian)) * u64::from(header.e_shentsize(LittleEndian));
        let len = usize::try_from(header.e_shoff(LittleEndian).checked_add(sections)?).ok()?;
        return Some(Box::new(Cursor::new(memory::bytes(module.start, len.min(1 << 16))?)));
    }
    // A program that was replaced or deleted while it runs is still behind the second.
    [&*module.path, "/proc/self/exe"].into_iter().find_map(|path| {
        let mut file = File::open(path).ok()?;
        is_it(&mut file, module).then(|| Box::new(file) as Box<dyn Image>)
    })
}

/// Whether a file starts as the module does.
fn is_it(file: &mut File, module: &Module) -> bool {
    let mut same = |offset, known: &[u8]| {
        let mut bytes = vec![0; known.len()];
        read_at(file, offset, &mut bytes).is_ok() && bytes == known
    };
    same(0, &module.header)
        && same(module.segments_offset(), &module.segments)
        && module.build_id.as_ref().is_none_or(|build| same(build.offset, &build.id))
}

fn read_at(image: &mut (impl Image + ?Sized), offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    image.seek(SeekFrom::Start(offset))?;
    image.read_exact(bytes)
}

/// Where a file has its symbols, and their names.
struct Tables {
    symbols: Range<u64>,
    names: Range<u64>,
}

fn tables(cache: &ReadCache<Box<dyn Image>>) -> object::Result<Option<Tables>> {
    let header = Header::parse(cache)?;
    let sections = header.sections(LittleEndian, cache)?;
    let range = |section: &<Header as FileHeader>::SectionHeader| {
        let (offset, len) = section.file_range(LittleEndian)?;
        Some(offset..offset.checked_add(len)?)
    };
    // The one for linkers has all functions, the one for loaders only those that others call.
    let kinds = [elf::SHT_SYMTAB, elf::SHT_DYNSYM];
    Ok(kinds.into_iter().find_map(|kind| {
        let section = sections.iter().find(|s| s.sh_type(LittleEndian) == kind)?;
        let strings = sections.section(object::SectionIndex(section.sh_link(LittleEndian) as usize)).ok()?;
        Some(Tables { symbols: range(section)?, names: range(strings)? })
    }))
}

/// The symbols that cover these addresses, which are in order.
fn search(image: Box<dyn Image>, wanted: &[u64]) -> io::Result<Vec<Option<Arc<str>>>> {
    let cache = ReadCache::new(image);
    let tables = tables(&cache).map_err(io::Error::other)?;
    let mut image = cache.into_inner();
    let mut found: Vec<Option<(u64, u32)>> = vec![None; wanted.len()];
    let Some(tables) = tables else { return Ok(vec![None; wanted.len()]) };
    let mut piece = vec![0; PIECE * size_of::<Symbol>()];
    let mut at = tables.symbols.start;
    while at < tables.symbols.end {
        let number = ((tables.symbols.end - at) as usize / size_of::<Symbol>()).min(PIECE);
        if number == 0 {
            break;
        }
        let bytes = &mut piece[..number * size_of::<Symbol>()];
        read_at(&mut *image, at, bytes)?;
        at += bytes.len() as u64;
        let symbols = object::pod::slice_from_bytes::<Symbol>(bytes, number);
        let Ok((symbols, _)) = symbols else { return Err(io::ErrorKind::InvalidData.into()) };
        for symbol in symbols.iter().filter(|s| is_function(s)) {
            let (start, size) = (symbol.st_value(LittleEndian), symbol.st_size(LittleEndian));
            let from = wanted.partition_point(|&address| address < start);
            for n in from..wanted.len() {
                if wanted[n] - start >= size {
                    break;
                }
                // Of several the tightest.
                if found[n].is_none_or(|(other, _)| size < other) {
                    found[n] = Some((size, symbol.st_name(LittleEndian)));
                }
            }
        }
    }
    found
        .into_iter()
        .map(|found| found.map(|(_, name)| read_name(&mut *image, &tables, name)).transpose())
        .collect()
}

fn is_function(symbol: &Symbol) -> bool {
    let kind = symbol.st_type();
    (kind == elf::STT_FUNC || kind == elf::STT_GNU_IFUNC || kind == elf::STT_NOTYPE)
        && symbol.st_shndx(LittleEndian) != elf::SHN_UNDEF
}

fn read_name(image: &mut dyn Image, tables: &Tables, name: u32) -> io::Result<Arc<str>> {
    let mut at = tables.names.start + u64::from(name);
    let mut text = Vec::new();
    while at < tables.names.end && text.len() < LONGEST_NAME {
        let mut some = [0; 256];
        let some = &mut some[..(tables.names.end - at).min(256) as usize];
        read_at(image, at, some)?;
        at += some.len() as u64;
        let end = some.iter().position(|&byte| byte == 0);
        text.extend_from_slice(&some[..end.unwrap_or(some.len())]);
        if end.is_some() {
            return Ok(String::from_utf8_lossy(&text).into());
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

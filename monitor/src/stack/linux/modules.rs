//! The files that are loaded, and where: as the kernel and the memory itself tell, without the loader's lock, which a thread that is
//! stuck in `dlopen` holds.
//!
//! Owns the list, kept until an address is not in it or a file is no longer where it was.
//! Not here: what the tables in them say (`unwind.rs`, `names.rs`).

use super::memory;
use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::mem::size_of;
use std::sync::{Arc, Mutex};

type Header = FileHeader64<LittleEndian>;
type Segment = ProgramHeader64<LittleEndian>;

/// More program headers than that, and it is no file that a loader takes.
const MOST_SEGMENTS: u16 = 256;
/// The notes at the front of a file are short.
const MOST_NOTES: u64 = 1 << 16;

/// A file that is loaded.
pub(in crate::stack) struct Module {
    /// Its path, or the kernel's word for it.
    pub(super) path: Arc<str>,
    /// Where its first byte is.
    pub(super) start: u64,
    /// What must be added to an address of its own tables.
    pub(super) bias: u64,
    /// Where `.eh_frame_hdr` is in memory, if it has one.
    pub(super) eh_frame_hdr: Option<u64>,
    pub(super) build_id: Option<BuildId>,
    /// Its header and its program headers, as they are in memory: by them a file, and the module itself, is known again.
    pub(super) header: Box<[u8]>,
    pub(super) segments: Box<[u8]>,
    /// Names found before: all that is kept of its symbols.
    pub(super) names: Mutex<HashMap<u64, Option<Arc<str>>>>,
}

/// A build id, and where in the file it is.
pub(super) struct BuildId {
    pub(super) id: Arc<[u8]>,
    pub(super) offset: u64,
}

impl Module {
    /// What is loaded with its first byte there.
    fn at(start: u64, path: Arc<str>) -> Option<Self> {
        let header: Box<[u8]> = memory::bytes(start, size_of::<Header>())?.into();
        let parsed = Header::parse(&*header).ok()?;
        let number = parsed.e_phnum.get(LittleEndian);
        let sized = parsed.e_phentsize.get(LittleEndian) as usize == size_of::<Segment>();
        if !sized || number == 0 || number > MOST_SEGMENTS {
            return None;
        }
        let at = start.checked_add(parsed.e_phoff.get(LittleEndian))?;
        let segments: Box<[u8]> = memory::bytes(at, size_of::<Segment>() * number as usize)?.into();
        let (list, _) = object::pod::slice_from_bytes::<Segment>(&segments, number as usize).ok()?;
        // The segment that has the header in it: pages start at multiples of their size in the file as in memory.
        let first = list.iter().find(|s| {
            s.p_type(LittleEndian) == elf::PT_LOAD
                && s.p_offset(LittleEndian) < s.p_align(LittleEndian).max(1)
        })?;
        let bias = start.wrapping_sub(first.p_vaddr(LittleEndian).wrapping_sub(first.p_offset(LittleEndian)));
        let tables = list.iter().find(|s| s.p_type(LittleEndian) == elf::PT_GNU_EH_FRAME);
        let eh_frame_hdr = tables.map(|s| bias.wrapping_add(s.p_vaddr(LittleEndian)));
        let notes = list.iter().filter(|s| s.p_type(LittleEndian) == elf::PT_NOTE);
        let build_id = notes.filter_map(|s| build_id(s, bias)).next();
        Some(Self { path, start, bias, eh_frame_hdr, build_id, header, segments, names: Mutex::default() })
    }

    /// Whether it is still there.
    fn is_there(&self) -> bool {
        let same = |at, known: &[u8]| memory::bytes(at, known.len()).is_some_and(|now| *now == *known);
        same(self.start, &self.header)
            && same(self.start.wrapping_add(self.segments_offset()), &self.segments)
    }

    /// Where in the file its program headers are.
    pub(super) fn segments_offset(&self) -> u64 {
        Header::parse(&*self.header).map_or(0, |header| header.e_phoff.get(LittleEndian))
    }
}

/// The build id in one segment of notes.
fn build_id(segment: &Segment, bias: u64) -> Option<BuildId> {
    let len = segment.p_filesz(LittleEndian).min(MOST_NOTES) as usize;
    let bytes = memory::bytes(bias.wrapping_add(segment.p_vaddr(LittleEndian)), len)?;
    let notes = NoteIterator::<Header>::new(LittleEndian, segment.p_align(LittleEndian), &bytes).ok()?;
    let id = notes
        .filter_map(Result::ok)
        .find(|note| note.name() == elf::ELF_NOTE_GNU && note.n_type(LittleEndian) == elf::NT_GNU_BUILD_ID)?;
    let within = id.desc().as_ptr().addr() - bytes.as_ptr().addr();
    Some(BuildId { id: id.desc().into(), offset: segment.p_offset(LittleEndian) + within as u64 })
}

/// Code of a file.
struct Mapping {
    start: u64,
    end: u64,
    /// Where the file's first byte is.
    header: u64,
    path: Arc<str>,
    /// Read when it is first needed; inside: none, if it is no module.
    module: Option<Option<Arc<Module>>>,
}

/// All files that are loaded.
#[derive(Default)]
pub(super) struct Modules {
    /// In the order of their addresses.
    mappings: Vec<Mapping>,
}

impl Modules {
    /// Reads the list again, and forgets what was known.
    pub(super) fn read_again(&mut self) {
        self.mappings = mappings().unwrap_or_default();
    }

    /// Whether all that was used of it is where it was.
    pub(super) fn are_there(&self) -> bool {
        self.mappings.iter().filter_map(|m| m.module.as_ref()?.as_ref()).all(|module| module.is_there())
    }

    /// Whether some file's code is there.
    pub(super) fn has(&self, address: u64) -> bool {
        self.index(address).is_some()
    }

    /// Whose code is there.
    pub(super) fn find(&mut self, address: u64) -> Option<Arc<Module>> {
        let index = self.index(address)?;
        let Mapping { header, path, .. } = &self.mappings[index];
        if self.mappings[index].module.is_none() {
            let known = self.mappings.iter().filter(|m| m.header == *header).find_map(|m| m.module.clone());
            let module = known.unwrap_or_else(|| Module::at(*header, path.clone()).map(Arc::new));
            self.mappings[index].module = Some(module);
        }
        self.mappings[index].module.clone().flatten()
    }

    fn index(&self, address: u64) -> Option<usize> {
        let after = self.mappings.partition_point(|m| m.start <= address);
        let index = after.checked_sub(1)?;
        (address < self.mappings[index].end).then_some(index)
    }
}

/// The executable mappings of files, from `/proc/self/maps`.
fn mappings() -> io::Result<Vec<Mapping>> {
    let mut lines = BufReader::new(File::open("/proc/self/maps")?);
    let mut found = Vec::new();
    let mut first: Option<(u64, Arc<str>)> = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(found);
        }
        let text = String::from_utf8_lossy(&line);
        let Some(entry) = Entry::parse(text.trim_end_matches('\n')) else { continue };
        if entry.offset == 0 {
            first = Some((entry.start, entry.path.into()));
        }
        let Some((header, path)) = first.as_ref().filter(|(_, path)| **path == *entry.path) else { continue };
        if entry.executable {
            let (header, path) = (*header, path.clone());
            found.push(Mapping { start: entry.start, end: entry.end, header, path, module: None });
        }
    }
}

/// A line of `/proc/self/maps` that names something.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    start: u64,
    end: u64,
    executable: bool,
    offset: u64,
    path: &'a str,
}

impl<'a> Entry<'a> {
    /// `55d0c0a00000-55d0c0a21000 r-xp 0000f000 08:01 1234    /usr/bin/name of it`
    fn parse(line: &'a str) -> Option<Self> {
        let mut rest = line;
        let mut word = || {
            let (word, after) = rest.split_once(' ')?;
            rest = after;
            Some(word)
        };
        let (range, access, offset, _device, _inode) = (word()?, word()?, word()?, word()?, word()?);
        let path = rest.trim_start();
        let hex = |digits| u64::from_str_radix(digits, 16).ok();
        let (start, end) = range.split_once('-')?;
        let executable = access.as_bytes().get(2) == Some(&b'x');
        let entry = Self { start: hex(start)?, end: hex(end)?, executable, offset: hex(offset)?, path };
        (!path.is_empty()).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Modules};

    #[test]
    fn a_line_is_read_to_the_end_of_its_path() {
        let line =
            "55d0c0a00000-55d0c0a21000 r-xp 0000f000 08:01 1234                       /usr/bin/two words";
        let path = "/usr/bin/two words";
        let entry =
            Entry { start: 0x55d0_c0a0_0000, end: 0x55d0_c0a2_1000, executable: true, offset: 0xf000, path };
        assert_eq!(Entry::parse(line), Some(entry));
        assert_eq!(Entry::parse("7f00-7f10 rw-p 00000000 00:00 0 "), None, "memory without a name");
        assert_eq!(Entry::parse("nonsense"), None);
    }

    #[test]
    fn this_program_and_the_kernels_own_page_are_found_with_their_tables() {
        let mut modules = Modules::default();
        let here = super::mappings as fn() -> _ as usize as u64;
        assert!(!modules.has(here) && modules.find(here).is_none());
        modules.read_again();
        let module = modules.find(here).expect("this code is of a file");
        let own = std::env::current_exe().unwrap();
        assert_eq!(*module.path, *own.to_str().unwrap());
        assert!(module.eh_frame_hdr.is_some());
        let kernels = super::mappings().unwrap().into_iter().find(|m| *m.path == *"[vdso]");
        if let Some(page) = kernels {
            assert!(modules.find(page.start).unwrap().eh_frame_hdr.is_some());
        }
        assert!(modules.are_there());
        assert!(modules.find(16).is_none());
    }
}

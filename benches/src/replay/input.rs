//! The bytes of a log: a file or standard input, plain or packed with gzip.
//!
//! Owns opening, unpacking, how far the file has been read, and what is said of files that cannot be. Not here: what the bytes mean
//! (`format.rs`).

use flate2::bufread::MultiGzDecoder;
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// So much is looked at to find out what a log is.
pub const HEAD_BYTES: usize = 64 * 1024;

/// A log that can be read from its beginning.
pub struct Input {
    /// The first bytes, unpacked: at most [`HEAD_BYTES`]; less only where that is all.
    pub head: Vec<u8>,
    /// What the file is called in messages.
    pub name: String,
    /// Whether it is packed.
    pub packed: bool,
    /// The size of the file, packed if it is; none where it has none.
    pub size: Option<u64>,
    /// Bytes of the file read so far.
    pub read: Arc<AtomicU64>,
    rest: Box<dyn BufRead + Send>,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("name", &self.name).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Input {
    /// Opens a file, or standard input for `-`, and reads its first bytes.
    ///
    /// # Errors
    /// In words, when it cannot be read or is no text.
    pub fn open(path: &Path) -> Result<Self, String> {
        if path == Path::new("-") {
            return Self::of(io::stdin(), "standard input".to_owned(), None);
        }
        let name = path.display().to_string();
        let cannot = |error: io::Error| {
            format!("cannot read '{name}': {error}\n\nexpected a log: a file, or - for standard input.")
        };
        let there = fs::metadata(path).map_err(cannot)?;
        if there.is_dir() {
            return Err(format!("'{name}' is a folder\n\nexpected a log: a file, or - for standard input."));
        }
        let file = File::open(path).map_err(cannot)?;
        let size = there.is_file().then_some(there.len());
        Self::of(file, name, size)
    }

    /// Anything that can be read.
    ///
    /// # Errors
    /// In words, when it cannot be read or is no text.
    pub fn of(from: impl Read + Send + 'static, name: String, size: Option<u64>) -> Result<Self, String> {
        let read = Arc::new(AtomicU64::new(0));
        let mut raw = BufReader::with_capacity(256 * 1024, Counted { from, read: read.clone() });
        let magic = beginning(&mut raw, 6).map_err(|error| trouble(&name, false, 0, &error))?;
        if let Some(packer) = other_packer(&magic) {
            return Err(format!(
                "'{name}' is packed with {packer}\n\n\
                 expected text, or text packed with gzip. Unpack it on the way: {packer} -dc FILE | lab replay -"
            ));
        }
        let packed = magic.starts_with(&[0x1f, 0x8b]);
        let raw = Cursor::new(magic).chain(raw);
        let mut rest: Box<dyn BufRead + Send> = if packed {
            Box::new(BufReader::with_capacity(256 * 1024, MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        let mut head = Vec::with_capacity(HEAD_BYTES);
        if let Err(error) = (&mut rest).take(HEAD_BYTES as u64).read_to_end(&mut head) {
            let lines = head.iter().filter(|byte| **byte == b'\n').count();
            return Err(trouble(&name, packed, lines as u64, &error));
        }
        if let Some(what) = not_text(&head) {
            return Err(format!(
                "'{name}' is not text: {what}\n\n\
                 expected UTF-8: CSV, one JSON object a line, a web server's log, or a time a line."
            ));
        }
        Ok(Self { head, name, packed, size, read, rest })
    }

    /// All bytes from the beginning, without a mark of UTF-8 in front.
    pub fn bytes(self) -> impl BufRead + Send {
        let mark = mark(&self.head);
        let mut head = Cursor::new(self.head);
        head.set_position(mark as u64);
        head.chain(self.rest)
    }

    /// The first bytes without a mark of UTF-8, up to the end of their last line where there are more; and whether that is all.
    pub fn first_lines(&self) -> (&[u8], bool) {
        let all = self.head.len() < HEAD_BYTES;
        let end = match self.head.iter().rposition(|byte| *byte == b'\n') {
            Some(last) if !all => last + 1,
            _ => self.head.len(),
        };
        (&self.head[mark(&self.head)..end], all)
    }
}

/// The last bytes of a file, at most [`HEAD_BYTES`]; none of what has no end that could be looked at first.
pub fn tail(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let size = file.metadata().ok().filter(fs::Metadata::is_file)?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(HEAD_BYTES as u64))).ok()?;
    beginning(&mut file, HEAD_BYTES).ok()
}

/// The length of a mark of UTF-8 in front.
fn mark(head: &[u8]) -> usize {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    if head.starts_with(MARK) { MARK.len() } else { 0 }
}

/// What is said when reading fails after so many lines.
pub fn trouble(name: &str, packed: bool, lines: u64, error: &io::Error) -> String {
    let after = format!("after line {}", crate::table::grouped(lines as usize));
    match error.kind() {
        io::ErrorKind::UnexpectedEof if packed => format!(
            "'{name}' breaks off in the middle of its packed data, {after}\n\n\
             expected whole gzip data: was it copied before it was complete? gzip -t FILE looks at all of it."
        ),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if packed => format!(
            "the packed data of '{name}' are damaged, {after}: {error}\n\n\
             expected whole gzip data; gzip -t FILE looks at all of it."
        ),
        _ => format!("cannot read '{name}' {after}: {error}"),
    }
}

/// Reads until there are so many bytes, or no more.
fn beginning(from: &mut impl Read, bytes: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(bytes);
    from.take(bytes as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The command that unpacks what begins so, if it is none that is read here.
fn other_packer(magic: &[u8]) -> Option<&'static str> {
    let packers: [(&[u8], &str); 4] = [
        (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"),
        (b"BZh", "bzip2"),
        (&[0x04, 0x22, 0x4d, 0x18], "lz4"),
    ];
    packers.iter().find(|(begin, _)| magic.starts_with(begin)).map(|(_, packer)| *packer)
}

/// Why these bytes are no text, if they are not. Single bytes that are no UTF-8 are none of that: web servers write down what they
/// are asked for.
fn not_text(head: &[u8]) -> Option<String> {
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return Some("it is UTF-16".to_owned());
    }
    let nought = head.iter().position(|byte| *byte == 0)?;
    Some(format!("byte {} is 0", nought + 1))
}

/// Counts what is read through it.
struct Counted<R> {
    from: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.from.read(buffer)?;
        self.read.fetch_add(bytes as u64, Relaxed);
        Ok(bytes)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    pub(crate) fn packed(text: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    }

    fn open(bytes: Vec<u8>) -> Result<Input, String> {
        Input::of(Cursor::new(bytes), "log".to_owned(), None)
    }

    fn all(input: Input) -> io::Result<String> {
        let mut text = String::new();
        input.bytes().read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn what_is_packed_in_several_parts_is_read_as_one_text() {
        let long = "1767225600.25\n".repeat(20_000);
        let input = open([packed(b"1\n2\n"), packed(long.as_bytes()), packed(b"3\n")].concat()).unwrap();
        assert!(input.packed && input.head.len() == HEAD_BYTES);
        assert_eq!(all(input).unwrap(), format!("1\n2\n{long}3\n"));
        let plain = open(long.clone().into_bytes()).unwrap();
        let read = plain.read.clone();
        assert_eq!((plain.packed, all(plain).unwrap()), (false, long.clone()));
        assert_eq!(read.load(Relaxed), long.len() as u64);
    }

    #[test]
    fn a_mark_of_utf_8_is_not_part_of_the_first_line() {
        let input = open(b"\xef\xbb\xbftime\n1\n".to_vec()).unwrap();
        assert_eq!(input.first_lines(), (&b"time\n1\n"[..], true));
        assert_eq!(all(input).unwrap(), "time\n1\n");
    }

    #[test]
    fn the_first_lines_are_whole_lines() {
        let input = open("123456\n".repeat(20_000).into_bytes()).unwrap();
        let (lines, all) = input.first_lines();
        assert!(!all && lines.ends_with(b"123456\n") && lines.len() > HEAD_BYTES - 7);
    }

    #[test]
    fn what_is_no_text_is_said_to_be_none() {
        let refused = |bytes: &[u8]| open(bytes.to_vec()).unwrap_err();
        assert!(refused(b"12\x0034").contains("byte 3 is 0"));
        assert!(refused(b"\xff\xfe1\x002\x00").contains("UTF-16"));
        assert!(refused(b"\x28\xb5\x2f\xfdxyz").contains("zstd -dc FILE | lab replay -"));
    }

    #[test]
    fn packed_data_that_break_off_say_so_wherever_that_is() {
        let short = packed(b"1767225600\n1767225601\n");
        let error = open(short[..short.len() - 5].to_vec()).unwrap_err();
        assert!(error.contains("breaks off in the middle of its packed data, after line 2"), "{error}");
        let text: String = (0..100_000).map(|n| format!("{}\n", 1_767_225_600 + n % 7919 * 7919)).collect();
        let long = packed(text.as_bytes());
        let input = open(long[..long.len() - 100].to_vec()).unwrap();
        let error = all(input).unwrap_err();
        assert!(
            trouble("log", true, 7, &error)
                .contains("breaks off in the middle of its packed data, after line 7")
        );
    }
}

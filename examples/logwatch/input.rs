//! Inputs of any size, line by line, in constant memory.

use crate::Failure;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::str::from_utf8;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The longest piece of a line that is published at once. What is held in memory is a small multiple of this.
const PIECE: usize = 1 << 20;

/// Where the reader is, and what it met on its way. Atomic, since subscribers look at it.
pub(crate) struct Place<'i> {
    pub(crate) inputs: &'i [Input],
    input: AtomicUsize,
    /// In this input, and in all until now.
    line: AtomicU64,
    pub(crate) lines: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// Lines that were cut, and into how many pieces.
    pub(crate) cut: AtomicU64,
    pub(crate) pieces: AtomicU64,
    /// Lines that were not UTF-8.
    pub(crate) invalid: AtomicU64,
}

impl<'i> Place<'i> {
    pub(crate) fn new(inputs: &'i [Input]) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            inputs,
            input: AtomicUsize::new(0),
            line: zero(),
            lines: zero(),
            bytes: zero(),
            cut: zero(),
            pieces: zero(),
            invalid: zero(),
        }
    }

    pub(crate) fn begin(&self, input: usize) {
        self.input.store(input, Relaxed);
        self.line.store(0, Relaxed);
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.inputs[self.input.load(Relaxed)].name, self.line.load(Relaxed))
    }
}

/// What is read: a file, or standard input.
pub(crate) struct Input {
    name: String,
    file: Option<File>,
}

impl Input {
    /// All inputs are opened before the first is read: a misspelt name is not found out hours later.
    pub(crate) fn open(path: &OsString) -> Result<Self, Failure> {
        let name = path.to_string_lossy().into_owned();
        if path == "-" {
            return Ok(Self { name: "(stdin)".to_owned(), file: None });
        }
        match File::open(path).and_then(|file| Ok((file.metadata()?.is_dir(), file))) {
            Ok((false, file)) => Ok(Self { name, file: Some(file) }),
            Ok((true, _)) => Err(Failure::Input(format!(
                "{name} is a directory; expected a file: name those in it, as in `logwatch {name}/*.log`"
            ))),
            Err(error) => Err(Failure::Input(format!(
                "cannot open {name}: {error}; expected a file that may be read, or `-` for standard input"
            ))),
        }
    }
}

/// Hands every line of an input to `publish`, in buffers that are used again for the next one.
pub(crate) fn read(
    input: &Input,
    place: &Place<'_>,
    mut publish: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let source: &mut dyn Read = match &input.file {
        Some(file) => &mut { file },
        None => &mut io::stdin().lock(),
    };
    let mut source = BufReader::with_capacity(256 << 10, source);
    let (mut raw, mut repaired) = (Vec::new(), String::new());
    let (mut pieces, mut invalid) = (0, false); // of the line that we are in
    loop {
        // One byte more than a piece: without it we could not tell a line that ends here from one that is to be cut.
        let room = (PIECE + 1 - raw.len()) as u64;
        let got = source.by_ref().take(room).read_until(b'\n', &mut raw).map_err(|error| {
            Failure::Input(format!(
                "cannot read on after {place}: {error}; what was read until then is counted above"
            ))
        })?;
        if raw.is_empty() {
            return Ok(());
        }
        place.bytes.fetch_add(got as u64, Relaxed);
        if pieces == 0 {
            place.line.fetch_add(1, Relaxed);
            place.lines.fetch_add(1, Relaxed);
        }
        pieces += 1;

        let cut = raw.len() > PIECE && !raw.ends_with(b"\n");
        let end = if cut { whole_characters(&raw[..PIECE]) } else { raw.len() };
        let piece = raw[..end].strip_suffix(b"\n").unwrap_or(&raw[..end]);
        let piece = piece.strip_suffix(b"\r").unwrap_or(piece);
        match from_utf8(piece) {
            Ok(text) => publish(text)?,
            Err(_) => {
                invalid = true;
                repair(piece, &mut repaired);
                publish(&repaired)?;
            }
        }
        raw.drain(..end); // what a cut left over begins the next piece
        if !cut {
            if pieces > 1 {
                place.cut.fetch_add(1, Relaxed);
                place.pieces.fetch_add(pieces, Relaxed);
            }
            place.invalid.fetch_add(u64::from(invalid), Relaxed);
            (pieces, invalid) = (0, false);
        }
    }
}

/// Where to cut a piece so that no character is cut: up to three bytes before its end.
fn whole_characters(piece: &[u8]) -> usize {
    let cuts_one = |tail: &usize| {
        from_utf8(&piece[*tail..]).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (piece.len() - 3..piece.len()).find(cuts_one).unwrap_or(piece.len())
}

/// As `String::from_utf8_lossy`, into a string that is used again.
fn repair(bytes: &[u8], text: &mut String) {
    text.clear();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

//! The text of a file, unpacked where it is packed, with a limit, and its letters.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use ptsm_core::{Error, MemoryBudget, Result};

/// Largest text that is held in memory or unpacked: a damaged or hostile archive must not fill it.
const MAX_TEXT_BYTES: u64 = 4 << 30;

/// Bytes of a text that is held in memory between two looks at the memory that is left.
const PIECE: u64 = 8 << 20;

pub(super) fn read_up_to(reader: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match reader.read(&mut buffer[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// The whole text of a file, unpacked where it is packed, without a byte-order mark.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let source = path.display().to_string();
    let failed = |cause| Error::io(path, "cannot be read", cause);
    let file = File::open(path).map_err(failed)?;
    let bytes = read_unpacked(file, &source).map_err(failed)??;
    let bytes = without_mark(&bytes).to_vec();
    String::from_utf8(bytes)
        .map_err(|e| Error::input("is not text in UTF-8").because(e.utf8_error()).at(source))
}

/// The bytes of a file in memory, unpacked where they are packed.
pub(super) fn unpacked(bytes: &[u8], source: &str) -> Result<Vec<u8>> {
    read_unpacked(bytes, source)
        .map_err(|cause| Error::input("the packed data are damaged").because(cause).at(source))?
}

/// All bytes, unpacked if they start as gzip or zstd do. The outer error is the reader's, the inner
/// one says that there is too much, or that this build cannot unpack them.
pub(super) fn read_unpacked<'a>(
    reader: impl Read + Send + 'a,
    source: &str,
) -> std::io::Result<Result<Vec<u8>>> {
    let unpacked = match unpacking(reader)? {
        Ok(unpacked) => unpacked,
        Err(error) => return Ok(Err(error.at(source))),
    };
    let budget = MemoryBudget::new("unpacking the text", "a Parquet file");
    let bytes = match read_within(&budget, unpacked.take(MAX_TEXT_BYTES + 1))? {
        Ok(bytes) => bytes,
        Err(error) => return Ok(Err(error.at(source))),
    };
    if bytes.len() as u64 > MAX_TEXT_BYTES {
        return Ok(Err(Error::input(too_large()).at(source)));
    }
    Ok(Ok(bytes))
}

/// All bytes of a reader, whose length nothing says. The outer error is the reader's, the inner one says that they do
/// not fit.
pub(super) fn read_within(
    budget: &MemoryBudget,
    mut reader: impl Read,
) -> std::io::Result<Result<Vec<u8>>> {
    let mut bytes = Vec::new();
    loop {
        // A vector that grows holds its old and its new bytes for a moment.
        if let Err(error) = budget.take(2 * PIECE) {
            return Ok(Err(error));
        }
        if reader.by_ref().take(PIECE).read_to_end(&mut bytes)? == 0 {
            return Ok(Ok(bytes));
        }
    }
}

fn too_large() -> String {
    format!("the text is larger than {} GiB (use a Parquet file)", MAX_TEXT_BYTES >> 30)
}

/// The text of a file while it is read, unpacked if it starts as gzip or zstd do. The outer error is
/// the reader's, the inner one says that this build cannot unpack it.
pub(super) fn unpacking<'a>(
    mut reader: impl Read + Send + 'a,
) -> std::io::Result<Result<Box<dyn Read + Send + 'a>>> {
    let mut magic = [0; 4];
    let count = read_up_to(&mut reader, &mut magic)?;
    let whole = std::io::Cursor::new(magic[..count].to_vec()).chain(reader);
    Ok(match magic {
        [0x1f, 0x8b, ..] => {
            Ok(Box::new(Limited::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(whole)))))
        }
        [0x28, 0xb5, 0x2f, 0xfd] => unpack_zstd(whole)?,
        _ => Ok(Box::new(whole)),
    })
}

#[cfg(feature = "parquet")]
fn unpack_zstd<'a>(
    packed: impl Read + Send + 'a,
) -> std::io::Result<Result<Box<dyn Read + Send + 'a>>> {
    Ok(Ok(Box::new(Limited::new(zstd::Decoder::new(packed)?))))
}

#[cfg(not(feature = "parquet"))]
fn unpack_zstd<'a>(
    _packed: impl Read + Send + 'a,
) -> std::io::Result<Result<Box<dyn Read + Send + 'a>>> {
    Ok(Err(Error::input("this build has no zstd (feature \"parquet\"); unpack the file first")))
}

/// An unpacked text, which ends in an error where it is too large.
struct Limited<R> {
    reader: R,
    left: u64,
}

impl<R> Limited<R> {
    fn new(reader: R) -> Self {
        Self { reader, left: MAX_TEXT_BYTES }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, too_large()))?;
        Ok(count)
    }
}

/// The letters of the bytes 0x80 to 0x9f in Windows-1252; five bytes have none.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text, where each byte that is not UTF-8 is the letter that it is in Windows-1252 (of which
/// Latin-1 is a part), so that different letters stay different; and whether there was such a byte.
pub(super) fn decoded(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return (text.into(), false);
    }
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|&byte| match byte {
            0x80..0xa0 => WINDOWS_1252[usize::from(byte - 0x80)],
            byte => char::from(byte),
        }));
    }
    (text.into(), true)
}

/// What the user is told of a text that was not UTF-8.
pub(super) const NOT_UTF8: &str =
    "the text is not UTF-8: its letters are read as Windows-1252 (Latin-1)";

/// Without the mark that some programs write in front of UTF-8.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_are_not_utf8_stay_different() {
        let read = |bytes| {
            let (text, other) = decoded(bytes);
            (text.into_owned(), other)
        };
        assert_eq!(read("é".as_bytes()), ("é".to_owned(), false));
        assert_eq!(read(b"Cr\xe9 Cr\xe8 \x80"), ("Cré Crè €".to_owned(), true));
        assert_eq!(read(b"\xc3\xa9 \xe9"), ("é é".to_owned(), true));
    }

    #[test]
    fn a_guess_at_the_letters_is_told_once_of_every_format_and_of_many_files() {
        let folder = tempfile::tempdir().unwrap();
        let options = crate::ReadOptions::default();
        for (name, row) in [("csv", &b"W\xe9\n1\n"[..]), ("json", b"[{\"W\xe9\": 1}]")] {
            let path = folder.path().join(format!("one.{name}"));
            std::fs::write(&path, row).unwrap();
            let table = crate::Table::read(&path, &options).unwrap();
            let notes: Vec<String> = table.notes().iter().map(ToString::to_string).collect();
            assert!(notes.len() == 1 && notes[0].contains("not UTF-8"), "{name}: {notes:?}");
        }
        let units = b"# x\nW\xe9,t\nkW,\n1,2024-01-01\n";
        let parts = folder.path().join("parts");
        std::fs::create_dir(&parts).unwrap();
        for part in 0..3 {
            std::fs::write(parts.join(format!("{part}.csv")), units).unwrap();
        }
        assert_eq!(crate::Table::read(&parts, &options).unwrap().notes().len(), 3);
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn text_packed_with_zstd_is_unpacked() {
        let packed = zstd::encode_all(&b"x\n1\n"[..], 0).unwrap();
        assert_eq!(unpacked(&packed, "t").unwrap(), b"x\n1\n");
        assert!(unpacked(&packed[..8], "t").unwrap_err().to_string().contains("damaged"));
    }
}

//! The text of a file, unpacked where it is packed, with a limit, and its letters.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use ptsm_core::{Error, Note, Result};

/// Largest text that is read, unpacked: a damaged or hostile archive must not fill the memory.
const MAX_TEXT_BYTES: u64 = 4 << 30;

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
pub(super) fn read_unpacked(
    mut reader: impl Read,
    source: &str,
) -> std::io::Result<Result<Vec<u8>>> {
    let mut magic = [0; 4];
    let count = read_up_to(&mut reader, &mut magic)?;
    let whole = magic[..count].chain(reader);
    let mut bytes = Vec::new();
    match magic {
        [0x1f, 0x8b, ..] => read_limited(flate2::read::MultiGzDecoder::new(whole), &mut bytes)?,
        [0x28, 0xb5, 0x2f, 0xfd] => match unpack_zstd(whole, &mut bytes)? {
            Ok(()) => {}
            Err(error) => return Ok(Err(error.at(source))),
        },
        _ => read_limited(whole, &mut bytes)?,
    }
    if bytes.len() as u64 > MAX_TEXT_BYTES {
        let limit = MAX_TEXT_BYTES >> 30;
        let message = format!("the text is larger than {limit} GiB (use a Parquet file)");
        return Ok(Err(Error::input(message).at(source)));
    }
    Ok(Ok(bytes))
}

fn read_limited(reader: impl Read, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    reader.take(MAX_TEXT_BYTES + 1).read_to_end(bytes).map(|_| ())
}

#[cfg(feature = "parquet")]
fn unpack_zstd(packed: impl Read, bytes: &mut Vec<u8>) -> std::io::Result<Result<()>> {
    read_limited(zstd::Decoder::new(packed)?, bytes).map(Ok)
}

#[cfg(not(feature = "parquet"))]
fn unpack_zstd(_packed: impl Read, _bytes: &mut Vec<u8>) -> std::io::Result<Result<()>> {
    Ok(Err(Error::input("this build has no zstd (feature \"parquet\"); unpack the file first")))
}

/// The letters of the bytes 0x80 to 0x9f in Windows-1252; five bytes have none.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text, where each byte that is not UTF-8 is the letter that it is in Windows-1252 (of which
/// Latin-1 is a part), so that different letters stay different; and a note if there was such a byte.
pub(super) fn decoded(bytes: &[u8]) -> (Cow<'_, str>, Vec<Note>) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return (text.into(), Vec::new());
    }
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|&byte| match byte {
            0x80..0xa0 => WINDOWS_1252[usize::from(byte - 0x80)],
            byte => char::from(byte),
        }));
    }
    let note = "the text is not UTF-8: its letters are read as Windows-1252 (Latin-1)";
    (text.into(), vec![note.into()])
}

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
            let (text, notes) = decoded(bytes);
            (text.into_owned(), notes.len())
        };
        assert_eq!(read("é".as_bytes()), ("é".to_owned(), 0));
        assert_eq!(read(b"Cr\xe9 Cr\xe8 \x80"), ("Cré Crè €".to_owned(), 1));
        assert_eq!(read(b"\xc3\xa9 \xe9"), ("é é".to_owned(), 1));
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

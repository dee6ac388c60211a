//! The text of a file, unpacked where it is packed, with a limit, and its letters.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use ptsm_core::{Error, Result};

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

/// Without the mark that some programs write in front of UTF-8.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_are_not_utf8_stay_different() {
        assert_eq!(decoded("é".as_bytes()), ("é".into(), false));
        assert_eq!(decoded(b"Cr\xe9 Cr\xe8 \x80"), ("Cré Crè €".into(), true));
        assert_eq!(decoded(b"\xc3\xa9 \xe9"), ("é é".into(), true));
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn text_packed_with_zstd_is_unpacked() {
        let packed = zstd::encode_all(&b"x\n1\n"[..], 0).unwrap();
        assert_eq!(unpacked(&packed, "t").unwrap(), b"x\n1\n");
        assert!(unpacked(&packed[..8], "t").unwrap_err().to_string().contains("damaged"));
    }
}

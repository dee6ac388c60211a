//! Recognises formats that are not read by their first bytes, and says what to do instead.

/// A format that is not read: its first bytes, its name, and what to do.
struct Foreign {
    starts: &'static [u8],
    name: &'static str,
    way_out: &'static str,
}

const fn foreign(starts: &'static [u8], name: &'static str, way_out: &'static str) -> Foreign {
    Foreign { starts, name, way_out }
}

const SAVE: &str = "save it as CSV or Parquet";
const UNPACK: &str = "unpack it first; gzip and zstd are unpacked in reading";

/// Formats of bytes, which may begin with letters as a header does.
const FORMATS: [Foreign; 14] = [
    foreign(b"PK\x03\x04", "an Excel workbook or another zip archive", SAVE),
    foreign(b"\xd0\xcf\x11\xe0", "an Excel workbook of the old form", SAVE),
    foreign(b"SQLite format 3\0", "an SQLite database", SAVE),
    foreign(b"\x89HDF", "an HDF5 file", SAVE),
    foreign(b"CDF\x01", "a NetCDF file", SAVE),
    foreign(b"\x93NUMPY", "a NumPy array", SAVE),
    foreign(b"FEA1", "a Feather file of version 1", "write it again with a newer pyarrow"),
    foreign(b"ORC", "an ORC file", SAVE),
    foreign(b"Obj\x01", "an Avro file", SAVE),
    foreign(b"\x80\x04\x95", "a Python pickle", SAVE),
    foreign(b"BZh", "packed with bzip2", UNPACK),
    foreign(b"\xfd7zXZ", "packed with xz", UNPACK),
    foreign(b"7z\xbc\xaf", "a 7z archive", UNPACK),
    foreign(b"PARE", "an encrypted Parquet file", "write it without encryption"),
];

/// Whether a file that begins with `bytes` may be a text: letters of any alphabet and ends of lines,
/// so that a table whose first column is called `FEA1` or `PARENT` is not taken for something else.
pub(super) fn may_be_text(bytes: &[u8]) -> bool {
    !bytes.iter().any(|&byte| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r'))
}

/// What a file that begins with `bytes` is, and the way out, if it is of a format that is not read.
pub(super) fn refusal(bytes: &[u8]) -> Option<String> {
    let text = super::text_file::without_mark(bytes).trim_ascii_start();
    // A header may begin with `<TICKER>`.
    let begins =
        |word: &&[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let markup = [&b"<!"[..], b"<?", b"<html", b"<table"].iter().any(begins);
    if markup {
        let text = "this is a page of HTML or XML, not a table (was it downloaded whole? save it as \
                    CSV)";
        return Some(text.to_owned());
    }
    let found = FORMATS.iter().find(|format| bytes.starts_with(format.starts));
    // Such a document may begin as a text, but no table does.
    let document = foreign(b"%PDF-", "a PDF document", SAVE);
    let found = found
        .filter(|_| !may_be_text(bytes))
        .or_else(|| bytes.starts_with(document.starts).then_some(&document))?;
    Some(format!("this is {}, which is not read ({})", found.name, found.way_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_are_named() {
        for (bytes, says) in [
            (&b"PK\x03\x04\x14\0"[..], "Excel"),
            (b"SQLite format 3\0", "SQLite"),
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
            (b"FEA1\0\0", "Feather file of version 1"),
            (b"BZh91AY&SY\x80\0", "bzip2"),
            (b"\xfd7zXZ\0", "xz"),
            (b"%PDF-1.7\n1 0 obj\n", "PDF"),
            (b"<!DOCTYPE html>", "HTML"),
            (b"\xef\xbb\xbf <?xml", "XML"),
        ] {
            let text = refusal(bytes).unwrap();
            assert!(text.contains(says), "{text}");
        }
        for bytes in [&b"date,x\n"[..], b"<TICKER>,<DATE>\n", b"", b"PAR1"] {
            assert_eq!(refusal(bytes), None, "{bytes:?}");
        }
    }
    #[test]
    fn a_header_may_begin_with_the_letters_of_any_format() {
        let ours = [&b"PAR1"[..], b"ARROW1"];
        let letters = FORMATS.iter().map(|format| format.starts).chain(ours);
        let mut tried = 0;
        for start in letters.filter(|start| start.iter().all(u8::is_ascii_graphic)) {
            for rest in [&b",load\n1,2\n3,4\n"[..], b"NT;Gr\xc3\xb6\xc3\x9fe\n1;2\n3;4\n"] {
                let bytes = [start, rest].concat();
                assert_eq!(refusal(&bytes), None);
                let file = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(file.path(), &bytes).unwrap();
                let table = crate::Table::read(file.path(), &crate::ReadOptions::default());
                let table = table.unwrap();
                assert!(table.columns()[0].name.as_bytes().starts_with(start));
                assert_eq!(table.num_rows(), 2);
                tried += 1;
            }
        }
        assert_eq!(tried, 12);
    }
}

//! How large a Parquet or Arrow text says that it is, before anything of it is unpacked.

use arrow::ipc::root_as_message;
use ptsm_core::{Error, ErrorKind, Result};

use super::foreign_code::guarded;
use super::parquet_file::num_cells;

/// How a message of a stream begins.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Refuses a Parquet file, or a stream or file of Arrow, in memory, that says that it has more than `most` cells, and
/// Arrow whose batches are packed, since only unpacking shows how large they are. It is for texts from strangers.
///
/// # Errors
///
/// `OutOfMemory` if there are more cells; `InvalidInput` if the text is damaged or its batches are packed.
pub fn check_stored(bytes: &[u8], most: usize) -> Result<()> {
    let cells = match bytes.starts_with(b"PAR1") {
        true => num_cells(bytes)?,
        false => guarded("Arrow", || arrow_cells(bytes))?,
    };
    if cells > most as u64 {
        let text = format!("{cells} cells: at most {most} are taken");
        return Err(Error::new(ErrorKind::OutOfMemory, text));
    }
    Ok(())
}

/// Cells of all batches of a stream.
fn arrow_cells(bytes: &[u8]) -> Result<u64> {
    if !bytes.starts_with(&CONTINUATION) {
        return Err(Error::input("the body is a file of Arrow (send a stream)"));
    }
    let damaged = || Error::input("the Arrow stream is damaged");
    let (mut rest, mut cells) = (bytes, 0u64);
    while let Some(after) = rest.strip_prefix(&CONTINUATION) {
        let (length, after) = after.split_first_chunk::<4>().ok_or_else(damaged)?;
        let length = usize::try_from(i32::from_le_bytes(*length)).map_err(|_| damaged())?;
        if length == 0 {
            return Ok(cells);
        }
        let (head, after) = after.split_at_checked(length).ok_or_else(damaged)?;
        let message =
            root_as_message(head).map_err(|cause| damaged().because(cause.to_string()))?;
        let batch = message.header_as_record_batch();
        let batch = batch.or_else(|| message.header_as_dictionary_batch().and_then(|d| d.data()));
        if let Some(batch) = batch {
            if batch.compression().is_some() {
                return Err(Error::input("the Arrow batches are packed (send them unpacked)"));
            }
            let columns = batch.nodes().map_or(0, |nodes| nodes.len() as u64);
            let rows = u64::try_from(batch.length()).map_err(|_| damaged())?;
            cells = cells.saturating_add(rows.saturating_mul(columns));
        }
        let body = usize::try_from(message.bodyLength()).map_err(|_| damaged())?;
        rest = after.get(body..).ok_or_else(damaged)?;
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Table, TableFormat};

    #[test]
    fn cells_are_counted_before_they_are_unpacked() {
        let table = Table::new(vec![Column::numbers("x", vec![1.0; 1000])]).unwrap();
        for format in [TableFormat::Parquet, TableFormat::ArrowStream] {
            let bytes = table.to_bytes(format).unwrap();
            check_stored(&bytes, 1000).unwrap();
            assert_eq!(check_stored(&bytes, 999).unwrap_err().kind(), ErrorKind::OutOfMemory);
            // Whatever is cut or flipped is an error or a count, and no panic.
            for cut in 0..bytes.len().min(300) {
                let _ = check_stored(&bytes[..cut], 1000);
                let mut flipped = bytes.clone();
                flipped[cut] ^= 0x55;
                let _ = check_stored(&flipped, 1000);
            }
        }
    }

    #[test]
    fn packed_batches_are_refused() {
        use arrow::ipc::CompressionType;
        use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};

        let table = Table::new(vec![Column::numbers("x", vec![1.0; 1000])]).unwrap();
        let batch = table.to_batch().unwrap();
        let packed =
            IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
        let mut writer =
            StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), packed).unwrap();
        writer.write(&batch).unwrap();
        let text = check_stored(&writer.into_inner().unwrap(), 9999).unwrap_err().to_string();
        assert!(text.contains("send them unpacked"), "{text}");
    }
}

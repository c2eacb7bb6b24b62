//! Compressed clusters.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::header::Compression;

/// Fills `cluster`, which it may neither exceed nor fall short of; `data` may have anything behind the end.
pub(crate) fn inflate(
    compression: Compression,
    data: &[u8],
    cluster: &mut [u8],
) -> Result<(), String> {
    match compression {
        Compression::Deflate => deflate(data, cluster),
        Compression::Zstd => zstd(data, cluster),
    }
}

fn deflate(data: &[u8], cluster: &mut [u8]) -> Result<(), String> {
    let mut state = Box::<DecompressorOxide>::default();
    let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, _, bytes) = decompress(&mut state, data, cluster, 0, flags);
    match status {
        // As QEMU: what is behind a full cluster does not matter.
        TINFLStatus::Done | TINFLStatus::HasMoreOutput if bytes == cluster.len() => Ok(()),
        _ => Err(format!(
            "deflate gives {bytes} of {} bytes ({status:?})",
            cluster.len()
        )),
    }
}

fn zstd(mut data: &[u8], cluster: &mut [u8]) -> Result<(), String> {
    let mut decoder = FrameDecoder::new();
    // More than a cluster is never looked back at; a window takes memory before a byte is there.
    decoder.set_max_window_size(8 << 20);
    decoder.init(&mut data).map_err(|error| error.to_string())?;
    let mut filled = 0;
    while filled < cluster.len() {
        if decoder.can_collect() == 0 {
            if decoder.is_finished() {
                break;
            }
            let step = BlockDecodingStrategy::UptoBlocks(1);
            decoder
                .decode_blocks(&mut data, step)
                .map_err(|error| error.to_string())?;
        }
        let read = std::io::Read::read(&mut decoder, &mut cluster[filled..]);
        filled += read.map_err(|error| error.to_string())?;
    }
    if filled == cluster.len() {
        return Ok(());
    }
    Err(format!("zstd gives {filled} of {} bytes", cluster.len()))
}

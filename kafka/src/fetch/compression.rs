//! How record batches are compressed.

use std::io::{self, BufRead, Read};

/// No batch grows beyond this, whatever a few bytes of it claim: brokers bound batches to far less.
const LIMIT: usize = 256 * 1024 * 1024;

/// A byte of snappy is no more than this in clear: three bytes copy 64 at most. What claims more need not be made room for.
const SNAPPY_GROWTH: usize = 22;

/// What the Java client puts before snappy blocks: magic, version 1, compatible from version 1.
const XERIAL: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";

/// How a batch's records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// The buffer that batches are decompressed into, one after the other.
#[derive(Debug, Default)]
pub struct Scratch {
    bytes: Vec<u8>,
}

impl Codec {
    /// The codec that a batch's attributes name.
    pub(super) fn from_number(number: i16) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl Scratch {
    /// What `input` says in clear; where nothing was compressed that is `input` itself.
    pub(super) fn decompress<'s>(&'s mut self, codec: Codec, input: &'s [u8]) -> io::Result<&'s [u8]> {
        self.bytes.clear();
        let output = &mut self.bytes;
        match codec {
            Codec::None => return Ok(input),
            Codec::Gzip => read(flate2::bufread::MultiGzDecoder::new(input), output)?,
            Codec::Snappy => snappy(input, output)?,
            Codec::Lz4 => copy_blocks(lz4_flex::frame::FrameDecoder::new(input), output)?,
            Codec::Zstd => read(zstd::Decoder::with_buffer(input)?, output)?,
        }
        Ok(output)
    }
}

fn read(reader: impl Read, output: &mut Vec<u8>) -> io::Result<()> {
    reader.take(LIMIT as u64 + 1).read_to_end(output)?;
    bounded(output.len())
}

/// As [`read`], for a reader with a buffer of its own: nothing is zeroed before it is written.
fn copy_blocks(mut reader: impl BufRead, output: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let block = reader.fill_buf()?;
        if block.is_empty() {
            return Ok(());
        }
        output.extend_from_slice(block);
        let length = block.len();
        reader.consume(length);
        bounded(output.len())?;
    }
}

/// One block, or what the Java client writes: a header, then blocks after their lengths.
fn snappy(input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
    let Some(mut blocks) = input.strip_prefix(&XERIAL) else {
        return snappy_block(input, output);
    };
    while let Some((length, rest)) = blocks.split_first_chunk() {
        let (block, rest) = rest
            .split_at_checked(u32::from_be_bytes(*length) as usize)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        snappy_block(block, output)?;
        blocks = rest;
    }
    if blocks.is_empty() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn snappy_block(block: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
    let begin = output.len();
    let end = begin + snap::raw::decompress_len(block)?;
    bounded(end)?;
    if end - begin > block.len().saturating_mul(SNAPPY_GROWTH) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    output.resize(end, 0);
    let target = output.get_mut(begin..).unwrap_or_default();
    snap::raw::Decoder::new().decompress(block, target)?;
    Ok(())
}

fn bounded(length: usize) -> io::Result<()> {
    if length <= LIMIT {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("it grows beyond {LIMIT} bytes"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few bytes that claim to be a great many.
    #[test]
    fn what_grows_without_end_is_refused() {
        let zeroes = zstd::bulk::compress(&vec![0; LIMIT + 1], 1).unwrap();
        let error = Scratch::default().decompress(Codec::Zstd, &zeroes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        // Snappy says first how much it will be.
        let claim = [0xff, 0xff, 0xff, 0xff, 0x0f];
        let error = Scratch::default().decompress(Codec::Snappy, &claim).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        // Less than the limit, and more than its bytes can be.
        let claim = [0xff, 0xff, 0xff, 0x7f];
        let error = Scratch::default().decompress(Codec::Snappy, &claim).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_snappy_makes_smallest_is_within_its_growth() {
        let zeroes = vec![0; 4 * 1024 * 1024];
        let block = snap::raw::Encoder::new().compress_vec(&zeroes).unwrap();
        let mut scratch = Scratch::default();
        assert_eq!(scratch.decompress(Codec::Snappy, &block).unwrap(), zeroes);
    }
}

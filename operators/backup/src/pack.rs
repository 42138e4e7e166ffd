//! Compression.

use std::io;

use zstd::{
    stream::raw::{CParameter, DParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer},
    zstd_safe::CCtx,
};

/// Bytes that are compressed or decompressed at once. Few, because it happens on a thread of the
/// runtime, and enough that it does not matter.
pub(crate) const BLOCK: usize = 128 << 10;

/// zstd's own default: hardly slower than disks, and not much is gained above it.
const LEVEL: i32 = 3;

/// Largest window that is decompressed, as a power of two. What we write has one of 2 MiB; a stream
/// of others could ask for much more memory.
const WINDOW: u32 = 23;

/// Compresses a stream.
pub(crate) struct Packer(Encoder<'static>);

impl Packer {
    pub(crate) fn new() -> io::Result<Self> {
        let mut encoder = Encoder::new(LEVEL)?;
        encoder.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self(encoder))
    }

    /// Compresses some bytes. Mostly nothing comes out until there are more.
    pub(crate) fn pack(&mut self, raw: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut input = InBuffer::around(raw);
        while input.pos() < raw.len() {
            out.reserve(CCtx::out_size());
            let at = out.len();
            self.0
                .run(&mut input, &mut OutBuffer::around_pos(&mut out, at))?;
        }
        Ok(out)
    }

    /// Ends the stream.
    pub(crate) fn finish(&mut self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            out.reserve(CCtx::out_size());
            let at = out.len();
            let mut output = OutBuffer::around_pos(&mut out, at);
            if self.0.finish(&mut output, true)? == 0 {
                return Ok(out);
            }
        }
    }
}

/// Decompresses a stream.
pub(crate) struct Unpacker {
    decoder: Decoder<'static>,
    /// Whether the stream may end here.
    complete: bool,
    /// Whether the last block was full, so that more may come out without more going in.
    full: bool,
}

impl Unpacker {
    pub(crate) fn new() -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW))?;
        Ok(Self {
            decoder,
            complete: false,
            full: false,
        })
    }

    /// Takes from the front of `input` what makes at most one block.
    pub(crate) fn unpack(&mut self, input: &mut &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(BLOCK);
        while (!input.is_empty() || self.full) && out.len() < BLOCK {
            let at = out.len();
            let mut from = InBuffer::around(input);
            let mut to = OutBuffer::around_pos(&mut out, at);
            let wanted = self.decoder.run(&mut from, &mut to)?;
            let taken = from.pos();
            *input = &input[taken..];
            self.complete = wanted == 0;
            self.full = out.len() >= BLOCK && !self.complete;
            if taken == 0 && out.len() == at {
                break;
            }
        }
        Ok(out)
    }

    /// Whether the stream came to its end.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }
}

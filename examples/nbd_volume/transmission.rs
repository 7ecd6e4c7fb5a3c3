//! Requests and simple replies (the NBD protocol, section "Transmission").

use std::fs::File;
use std::io::{self, Read, Write};

use strongroom::volumes::Volume;

use crate::export::{Export, MAX_TRANSFER, discard_to_zeros};
use crate::negotiation::{array, invalid};

const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;

const READ: u16 = 0;
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
const TRIM: u16 = 4;
const WRITE_ZEROES: u16 = 6;

/// Make the request durable before the reply.
const FUA: u16 = 1;
/// Do not discard zeros.
const NO_HOLE: u16 = 2;

/// The errors of the protocol.
const OK: u32 = 0;
const INPUT_OUTPUT: u32 = 5;
const INVALID: u32 = 22;
const NO_SPACE: u32 = 28;

struct Request {
    flags: u16,
    kind: u16,
    cookie: [u8; 8],
    offset: u64,
    length: u32,
}

impl Request {
    /// Reads a request, or returns `None` at the end of the connection.
    fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        let mut first = [0];
        if input.read(&mut first)? == 0 {
            return Ok(None);
        }
        let rest = array::<3>(input)?;
        if u32::from_be_bytes([first[0], rest[0], rest[1], rest[2]]) != REQUEST {
            return Err(invalid("the client did not send a request"));
        }
        Ok(Some(Self {
            flags: u16::from_be_bytes(array(input)?),
            kind: u16::from_be_bytes(array(input)?),
            cookie: array(input)?,
            offset: u64::from_be_bytes(array(input)?),
            length: u32::from_be_bytes(array(input)?),
        }))
    }

    /// Returns `true` if the range is in the volume.
    fn fits(&self, export: &Export) -> bool {
        self.offset.checked_add(u64::from(self.length)).is_some_and(|end| end <= export.size)
    }

    /// Returns `true` if the request has no other flags than these.
    const fn has_only(&self, flags: u16) -> bool {
        self.flags & !flags == 0
    }
}

/// Answers requests until the client disconnects. A client that violates the protocol is
/// disconnected.
pub(crate) fn transmit(input: &mut impl Read, output: &mut impl Write, export: &Export) -> io::Result<()> {
    // Of the longest transfer so far.
    let mut buffer = Vec::new();
    while let Some(request) = Request::read(input)? {
        if request.kind == WRITE || (request.kind == READ && request.fits(export)) {
            if request.length > MAX_TRANSFER {
                return Err(invalid("a transfer is longer than 32 MiB"));
            }
            let length = usize::try_from(request.length).map_err(io::Error::other)?;
            buffer.resize(length.max(buffer.len()), 0);
        }
        let data = buffer.get_mut(..usize::try_from(request.length).map_err(io::Error::other)?);
        let data = data.unwrap_or_default();
        let code = match request.kind {
            DISCONNECT => return Ok(()),
            READ => read(&request, data, export),
            WRITE => {
                input.read_exact(data)?;
                write(&request, data, export)
            }
            kind => execute(kind, &request, export),
        };
        output.write_all(&[REPLY, code].map(u32::to_be_bytes).concat())?;
        output.write_all(&request.cookie)?;
        if request.kind == READ && code == OK {
            output.write_all(data)?;
        }
        output.flush()?;
    }
    Ok(())
}

fn read(request: &Request, data: &mut [u8], export: &Export) -> u32 {
    if !request.fits(export) || !request.has_only(FUA) {
        return INVALID;
    }
    on_volume(export, |volume| volume.read_at(request.offset, data))
}

fn write(request: &Request, data: &[u8], export: &Export) -> u32 {
    match (request.fits(export), request.has_only(FUA)) {
        (false, _) => NO_SPACE,
        (_, false) => INVALID,
        _ => change(request, export, |volume| volume.write_at(request.offset, data)),
    }
}

/// Executes a request without data.
fn execute(kind: u16, request: &Request, export: &Export) -> u32 {
    let flags = if kind == WRITE_ZEROES { FUA | NO_HOLE } else { FUA };
    if !request.has_only(flags) {
        return INVALID;
    }
    let (offset, length) = (request.offset, u64::from(request.length));
    match kind {
        FLUSH => on_volume(export, Volume::flush),
        TRIM | WRITE_ZEROES if !request.fits(export) => INVALID,
        TRIM => change(request, export, |volume| volume.discard(offset, length).map(drop)),
        WRITE_ZEROES if request.flags & NO_HOLE == 0 => {
            change(request, export, |volume| discard_to_zeros(volume, offset, length))
        }
        WRITE_ZEROES => change(request, export, |volume| volume.write_zeros(offset, length)),
        _ => INVALID,
    }
}

/// Changes the volume, and makes the change durable if the client wants it.
fn change(request: &Request, export: &Export, change: impl FnOnce(&mut Volume<File>) -> strongroom::Result<()>) -> u32 {
    on_volume(export, |volume| {
        change(volume)?;
        if request.flags & FUA == 0 { Ok(()) } else { volume.flush() }
    })
}

/// Uses the volume, and returns the code of the result.
fn on_volume(export: &Export, work: impl FnOnce(&mut Volume<File>) -> strongroom::Result<()>) -> u32 {
    let Some(mut volume) = export.lock() else {
        eprintln!("a request failed: another one ended in the middle, so the volume must be served again");
        return INPUT_OUTPUT;
    };
    code(work(&mut volume))
}

fn code(result: strongroom::Result<()>) -> u32 {
    match result {
        Ok(()) => OK,
        Err(error) => {
            eprintln!("a request failed: {error}");
            INPUT_OUTPUT
        }
    }
}

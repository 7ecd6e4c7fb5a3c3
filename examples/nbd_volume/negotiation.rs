//! The fixed newstyle negotiation (the NBD protocol, sections "Newstyle negotiation" and "Values").

use std::io::{self, Read, Write};

use crate::export::{Export, MAX_TRANSFER};

/// The name of the export. An empty name is the default export, which is the same.
const NAME: &[u8] = b"volume";

const INIT: &[u8; 8] = b"NBDMAGIC";
const OPTION: &[u8; 8] = b"IHAVEOPT";
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;

/// The flags of both sides: fixed newstyle, and no 124 bytes of zeros.
const FIXED_NEWSTYLE: u16 = 1;
const NO_ZEROES: u16 = 2;

const EXPORT_NAME: u32 = 1;
const ABORT: u32 = 2;
const LIST: u32 = 3;
const INFO: u32 = 6;
const GO: u32 = 7;

const REPLY_ACK: u32 = 1;
const REPLY_SERVER: u32 = 2;
const REPLY_INFO: u32 = 3;
const ERROR_UNSUPPORTED: u32 = 0x8000_0001;
const ERROR_INVALID: u32 = 0x8000_0003;
const ERROR_UNKNOWN: u32 = 0x8000_0006;

const INFO_EXPORT: u16 = 0;
const INFO_BLOCK_SIZE: u16 = 3;

/// The transmission flags: has flags, flush, FUA, trim, write zeroes, several connections.
const TRANSMISSION: u16 = 1 | 4 | 8 | 32 | 64 | 256;

/// The maximum length of the data of an option. A name has at most 4,096 bytes.
const MAX_OPTION: u32 = 8 << 10;

/// The maximum number of options of a connection.
const MAX_OPTIONS: usize = 64;

/// Agrees with a client. Returns `false` if it wants to end the connection.
pub(crate) fn negotiate(input: &mut impl Read, output: &mut impl Write, export: &Export) -> io::Result<bool> {
    output.write_all(&[&INIT[..], OPTION, &(FIXED_NEWSTYLE | NO_ZEROES).to_be_bytes()].concat())?;
    output.flush()?;
    let flags = u32::from_be_bytes(array(input)?);
    if flags & !u32::from(FIXED_NEWSTYLE | NO_ZEROES) != 0 {
        return Err(invalid("the client sent unknown flags"));
    }
    for _ in 0..MAX_OPTIONS {
        if array::<8>(input)? != *OPTION {
            return Err(invalid("the client did not send an option"));
        }
        let (option, length) = (u32::from_be_bytes(array(input)?), u32::from_be_bytes(array(input)?));
        if length > MAX_OPTION {
            return Err(invalid("the data of an option are too long"));
        }
        let mut data = Vec::new();
        input.take(u64::from(length)).read_to_end(&mut data)?;
        if u32::try_from(data.len()) != Ok(length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match option {
            EXPORT_NAME => {
                if !is_known(&data) {
                    return Err(invalid("the client wants an unknown export"));
                }
                output.write_all(&export.size.to_be_bytes())?;
                output.write_all(&TRANSMISSION.to_be_bytes())?;
                if flags & u32::from(NO_ZEROES) == 0 {
                    output.write_all(&[0; 124])?;
                }
                output.flush()?;
                return Ok(true);
            }
            ABORT => {
                reply(output, option, REPLY_ACK, &[])?;
                return Ok(false);
            }
            LIST if data.is_empty() => {
                let length = u32::try_from(NAME.len()).unwrap_or_default().to_be_bytes();
                reply(output, option, REPLY_SERVER, &[&length[..], NAME].concat())?;
                reply(output, option, REPLY_ACK, &[])?;
            }
            INFO | GO => match requested_name(&data) {
                Some(name) if is_known(name) => {
                    describe(output, option, export)?;
                    if option == GO {
                        return Ok(true);
                    }
                }
                Some(_) => reply(output, option, ERROR_UNKNOWN, b"there is only the export named volume")?,
                None => reply(output, option, ERROR_INVALID, b"the data of the option are malformed")?,
            },
            LIST => reply(output, option, ERROR_INVALID, b"the option has no data")?,
            _ => reply(output, option, ERROR_UNSUPPORTED, &[])?,
        }
    }
    Err(invalid("the client sent too many options"))
}

fn is_known(name: &[u8]) -> bool {
    name.is_empty() || name == NAME
}

/// Returns the name in the data of `INFO` and `GO`: a length, the name, and a list of wanted
/// information.
fn requested_name(data: &[u8]) -> Option<&[u8]> {
    let (length, rest) = data.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let (count, wanted) = rest.split_first_chunk()?;
    (wanted.len() == usize::from(u16::from_be_bytes(*count)) * 2).then_some(name)
}

fn describe(output: &mut impl Write, option: u32, export: &Export) -> io::Result<()> {
    let size = [&INFO_EXPORT.to_be_bytes()[..], &export.size.to_be_bytes(), &TRANSMISSION.to_be_bytes()].concat();
    reply(output, option, REPLY_INFO, &size)?;
    let blocks = [1, export.block_size, MAX_TRANSFER].map(u32::to_be_bytes).concat();
    reply(output, option, REPLY_INFO, &[&INFO_BLOCK_SIZE.to_be_bytes()[..], &blocks].concat())?;
    reply(output, option, REPLY_ACK, &[])
}

fn reply(output: &mut impl Write, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).map_err(io::Error::other)?;
    output.write_all(&OPTION_REPLY.to_be_bytes())?;
    output.write_all(&[option, kind, length].map(u32::to_be_bytes).concat())?;
    output.write_all(data)?;
    output.flush()
}

/// Reads an array.
pub(crate) fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

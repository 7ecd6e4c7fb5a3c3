//! Messages from writers that deviate from the format: rejected by default, accepted if the
//! application opts in.

use std::io::{Cursor, Read};

use strongroom::envelope::{CommitmentPolicy, EnvelopeBuilder};
use strongroom::message::MessageError;
use strongroom::{EncryptionContext, Envelope, ErrorKind};

use crate::support::envelope::{keyring, refusal};

/// The worked examples of the message format as version 4.0.0 of the Encryption SDK for .NET would
/// have written them, in suites 0x0178 and 0x0478. Created in Python according to how later
/// versions read such messages.
const DOTNET_4_0_0: [&str; 2] = [
    "\
    01800178404142434445464748494a4b4c4d4e4f000f00020001610002c3a9000162000132000100026e7300166b6e000000800000000ca0\
    a1a2a3a4a5a6a7a8a9aaab0030c6395e0e61ee24984a4cadf82b57eef1409d6b23a682745ba4371cbd43964b3eae50880f0c190f1c2ccad2\
    a5a532e73102000000000c00000010000000000000000000000000d8c8c9fc206d2181bfcdac7af0755d2400000001000000000000000000\
    0000016ec853f2d2bc7cc01fdb9c9b0870515dd72d3f9f622253ebaad6c676abbf225dffffffff0000000200000000000000000000000200\
    00000456f94ce5ec7886c63126343b9e681d6e7810722d",
    "\
    020478404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f000f00020001610002c3a900016200013200010002\
    6e7300166b6e000000800000000ca0a1a2a3a4a5a6a7a8a9aaab0030c6395e0e61ee24984a4cadf82b57eef1409d6b23a682745ba4371cbd\
    43964b3eae50880f0c190f1c2ccad2a5a532e7310200000010bbe9a13c6144de6db8a0b1a0e8f11783cd66fc015b916c8c1ee27fb7953e8f\
    adfe26a7dab2ac991f480eb56fa91f3b9f00000001000000000000000000000001d8bd807fe02dd6198945e5a413c9c39336aa46239eac0a\
    a119749b3c35c65bb7ffffffff0000000200000000000000000000000200000004089701dbab333b9e62c348b3e5af250f2471467b",
];

const PLAINTEXT: &[u8] = b"envelope encryption!";

fn builder() -> EnvelopeBuilder {
    Envelope::builder(keyring()).commitment_policy(CommitmentPolicy::RequireEncryptAllowDecrypt)
}

#[test]
fn messages_of_dotnet_4_0_0_are_read_in_every_way_by_those_who_ask_for_it() -> Result<(), Box<dyn std::error::Error>> {
    let (strict, lenient) = (builder().build()?, builder().accept_dotnet_4_0_0().build()?);
    let context = EncryptionContext::from([("b", "2")]);
    for message in DOTNET_4_0_0 {
        let message = hex::decode(message)?;
        let refused = strict.decrypt(&message, &context).expect_err("another form");
        assert_eq!(refusal(&refused), Some(&MessageError::HeaderAuth));
        assert!(strict.random_access_reader(Cursor::new(&message), &context).is_err());

        assert_eq!(lenient.decrypt(&message, &context)?, PLAINTEXT);
        let mut texts = [const { Vec::new() }; 4];
        lenient.reader(&message[..], &context)?.read_to_end(&mut texts[0])?;
        let mut decryptor = lenient.decryptor(&context);
        message.chunks(100).try_for_each(|part| decryptor.update(part, &mut texts[1]))?;
        decryptor.finish(&mut texts[1])?;
        lenient.random_access_reader(Cursor::new(&message), &context)?.read_to_end(&mut texts[2])?;
        let moved = lenient.re_encrypt(&message[..], &context, &strict, Vec::new())?;
        texts[3] = strict.decrypt(&moved, &context)?;
        assert!(texts.iter().all(|text| text == PLAINTEXT), "the copied message has the usual form");
        let other = lenient.decrypt(&message, &EncryptionContext::from([("b", "3")])).map_err(|error| error.kind());
        assert_eq!(other, Err(ErrorKind::ContextMismatch));
        // Altered messages remain rejected, in this form and in the standard form.
        for message in [message, strict.encrypt(PLAINTEXT, &context)?] {
            for bit in (0..message.len() * 8).step_by(3) {
                let mut altered = message.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                assert!(lenient.decrypt(&altered, &context).is_err(), "bit {bit}");
            }
        }
    }
    Ok(())
}

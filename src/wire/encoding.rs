//! Writes an answer as JSON, with the rules of AWS JSON 1.1: blobs in base64 with padding, times in
//! seconds since 1970 with a fraction.
//!
//! The length is computed first, so that the text is written to a buffer of exactly that size: no
//! copy of a secret remains in memory that was reallocated.

use std::io;

use base64ct::{Base64, Encoding};

use super::answer::{Answer, Item};
use crate::clock::Timestamp;
use crate::secret::SecretBytes;

/// Returns the JSON text of an answer.
pub(super) fn to_json(answer: &Answer) -> SecretBytes {
    let mut counter = Counter(0);
    write_structure(&mut counter, answer);
    let mut text = SecretBytes::zeroed(counter.0);
    write_structure(&mut Buffer(text.expose_secret_mut()), answer);
    text
}

/// The destination of a text.
trait Output {
    fn raw(&mut self, bytes: &[u8]);

    fn base64(&mut self, bytes: &[u8]);
}

/// Counts the bytes of a text.
struct Counter(usize);

impl Output for Counter {
    fn raw(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.0 += base64_length(bytes);
    }
}

/// The unwritten rest of a buffer.
struct Buffer<'b>(&'b mut [u8]);

impl<'b> Buffer<'b> {
    fn take(&mut self, length: usize) -> &'b mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.0).split_at_mut(length);
        self.0 = rest;
        taken
    }
}

impl Output for Buffer<'_> {
    fn raw(&mut self, bytes: &[u8]) {
        self.take(bytes.len()).copy_from_slice(bytes);
    }

    fn base64(&mut self, bytes: &[u8]) {
        Base64::encode(bytes, self.take(base64_length(bytes))).expect("the buffer has the length of the text");
    }
}

const fn base64_length(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(3) * 4
}

/// Passes what a serializer writes to an output.
struct Writer<'o, O>(&'o mut O);

impl<O: Output> io::Write for Writer<'_, O> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.raw(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_structure(output: &mut impl Output, answer: &Answer) {
    output.raw(b"{");
    for (index, (name, item)) in answer.members().iter().enumerate() {
        write_name(output, index, name);
        write_item(output, item);
    }
    output.raw(b"}");
}

fn write_name(output: &mut impl Output, index: usize, name: &str) {
    write_comma(output, index);
    write_text(output, name);
    output.raw(b":");
}

fn write_comma(output: &mut impl Output, index: usize) {
    if index > 0 {
        output.raw(b",");
    }
}

fn write_text(output: &mut impl Output, text: &str) {
    serde_json::to_writer(Writer(output), text).expect("writing a string to memory cannot fail");
}

fn write_item(output: &mut impl Output, item: &Item) {
    match item {
        Item::Bool(value) => output.raw(if *value { b"true" } else { b"false" }),
        Item::Integer(value) => output.raw(value.to_string().as_bytes()),
        Item::Time(time) => output.raw(seconds(*time).as_bytes()),
        Item::Text(text) => write_text(output, text),
        Item::Blob(bytes) => write_blob(output, bytes),
        Item::Secret(bytes) => write_blob(output, bytes.expose_secret()),
        Item::List(items) => {
            output.raw(b"[");
            for (index, item) in items.iter().enumerate() {
                write_comma(output, index);
                write_item(output, item);
            }
            output.raw(b"]");
        }
        Item::Structure(answer) => write_structure(output, answer),
        Item::Map(pairs) => {
            output.raw(b"{");
            for (index, (name, value)) in pairs.iter().enumerate() {
                write_name(output, index, name);
                write_text(output, value);
            }
            output.raw(b"}");
        }
    }
}

fn write_blob(output: &mut impl Output, bytes: &[u8]) {
    output.raw(b"\"");
    output.base64(bytes);
    output.raw(b"\"");
}

/// Returns the seconds since 1970, with milliseconds if there are any.
fn seconds(time: Timestamp) -> String {
    let millis = time.unix_millis();
    let sign = if millis < 0 { "-" } else { "" };
    let (whole, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    if rest == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest:03}") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(answer: &Answer) -> Value {
        serde_json::from_slice(to_json(answer).expose_secret()).expect("an answer is JSON")
    }

    #[test]
    fn every_kind_of_item_is_written_as_aws_writes_it() {
        let inner = Answer::new().with("Blob", vec![0xfb_u8, 0xff]).with("Empty", Vec::<u8>::new());
        let answer = Answer::new()
            .with("Bool", true)
            .with("Integer", 42_u32)
            .with("Whole", Timestamp::from_unix_millis(1_700_000_000_000))
            .with("Fraction", Timestamp::from_unix_millis(1_700_000_000_045))
            .with("Early", Timestamp::from_unix_millis(-1))
            .with("Text", "quoted \" \\ \n \u{1} é \u{2028}")
            .with("Secret", SecretBytes::copy_from_slice(b"abc"))
            .with("List", Item::List(vec![Item::Structure(inner), Item::List(Vec::new()), Item::Bool(false)]))
            .with("Map", Item::Map(vec![("a\"".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]))
            .with_some("Absent", None::<String>)
            .with_names("None", &[0; 0])
            .with_names("Names", &["x", "y"]);
        let expected = json!({
            "Bool": true, "Integer": 42, "Whole": 1_700_000_000, "Fraction": 1_700_000_000.045, "Early": -0.001,
            "Text": "quoted \" \\ \n \u{1} é \u{2028}", "Secret": "YWJj",
            "List": [{"Blob": "+/8=", "Empty": ""}, [], false], "Map": {"a\"": "1", "b": ""}, "Names": ["x", "y"]
        });
        assert_eq!(written(&answer), expected);
    }

    #[test]
    fn the_text_has_the_length_that_was_counted() {
        for length in 0..=100 {
            let blob: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let answer = Answer::new().with("Blob", blob.clone());
            let text = to_json(&answer);
            assert!(text.expose_secret().ends_with(b"\"}"), "{length}");
            let value = written(&answer);
            let read = value["Blob"].as_str().map(|text| Base64::decode_vec(text).ok());
            assert_eq!(read, Some(Some(blob)));
        }
        assert_eq!(to_json(&Answer::new()).expose_secret(), b"{}");
    }
}

//! A queue of bytes in pieces, which are copied only where they must be contiguous.

use std::collections::VecDeque;

use bytes::Bytes;
use zeroize::Zeroizing;

/// Bytes in pieces. Cheap to split.
#[derive(Default)]
pub(super) struct Chunks {
    parts: VecDeque<Bytes>,
    length: usize,
}

impl Chunks {
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.length += bytes.len();
        if !bytes.is_empty() {
            self.parts.push_back(bytes);
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// Removes the first `length` bytes, or all if there are fewer.
    pub(super) fn split_to(&mut self, length: usize) -> Self {
        let mut front = Self::default();
        while front.length < length {
            let Some(mut part) = self.parts.pop_front() else { break };
            let missing = length - front.length;
            if part.len() > missing {
                self.parts.push_front(part.split_off(missing));
            }
            self.length -= part.len();
            front.push(part);
        }
        front
    }

    /// Calls a function with all bytes, contiguously. A copy is wiped afterwards, because it may be
    /// plaintext.
    pub(super) fn with_slice<R>(&self, work: impl FnOnce(&[u8]) -> R) -> R {
        match self.parts.len() {
            0 => work(&[]),
            1 => work(&self.parts[0]),
            _ => {
                let mut copy = Zeroizing::new(Vec::with_capacity(self.length));
                self.parts.iter().for_each(|part| copy.extend_from_slice(part));
                work(&copy)
            }
        }
    }
}

impl FromIterator<Bytes> for Chunks {
    fn from_iter<I: IntoIterator<Item = Bytes>>(parts: I) -> Self {
        let mut chunks = Self::default();
        parts.into_iter().for_each(|part| chunks.push(part));
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_their_order_however_they_are_split() {
        let parts = [&b"one"[..], b"", b"three", b"fourteen"];
        for length in 0..20 {
            let mut chunks: Chunks = parts.into_iter().map(Bytes::from_static).collect();
            let front = chunks.split_to(length);
            assert_eq!(front.len() + chunks.len(), 16);
            assert_eq!(front.len(), length.min(16));
            let mut all = front.with_slice(<[u8]>::to_vec);
            chunks.with_slice(|rest| all.extend_from_slice(rest));
            assert_eq!(all, b"onethreefourteen");
        }
    }
}

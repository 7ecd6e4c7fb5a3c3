//! The sizes of a stored object, which follow from the length of its plaintext alone.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};

/// The overhead of a regular frame in bytes: sequence number, IV, and tag.
const REGULAR_OVERHEAD: u64 = 32;

/// The overhead of the final frame in bytes: marker, sequence number, IV, length, and tag.
pub(super) const FINAL_OVERHEAD: u64 = 40;

/// The default length of the header in bytes.
pub(super) const DEFAULT_HEADER_LENGTH: u32 = 2_048;

/// The smallest and largest length of the header in bytes. The padding must fit into one field.
const HEADER_LENGTHS: Range<u32> = 256..65_537;

/// The smallest and largest length of a frame in bytes.
const FRAME_LENGTHS: Range<u32> = 16..(16 << 20) + 1;

/// The lengths of the header and of a frame, which are the same for all objects of a store.
///
/// With `h` and `f` for these lengths, an object of `n` bytes of plaintext is stored as
/// `h + n + 32 * k + 40` bytes, where `k` is the number of its regular frames. A writer that knows the
/// length puts the last `1..=f` bytes into the final frame. A multipart upload does not know it in time,
/// so its final frame has `0..f` bytes. Both give the same `n` for a stored size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    header: u32,
    frame: u32,
}

/// The frames of one stored object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    geometry: Geometry,
    stored: u64,
    /// The number of regular frames, which is also the index of the final frame.
    regular: u64,
    /// The length of the plaintext of the final frame.
    last: u64,
}

/// Consecutive frames, and the part of their plaintext that was requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frames {
    /// The index of the first frame, from 0.
    pub(super) first: u64,
    /// The number of frames, at least one.
    pub(super) count: u64,
    /// `true` if the last of them is the final frame of the object.
    pub(super) ends: bool,
    /// The requested part of the plaintext of the object.
    pub(super) plaintext: Range<u64>,
}

impl Geometry {
    pub(super) fn new(header: u32, frame: u32) -> Result<Self> {
        let refused = |what, limits: &Range<u32>, length| {
            let text =
                format!("the {what} of objects must be {} to {} bytes, not {length}", limits.start, limits.end - 1);
            Err(Error::new(ErrorKind::Validation, text))
        };
        if !HEADER_LENGTHS.contains(&header) {
            return refused("header length", &HEADER_LENGTHS, header);
        }
        if !FRAME_LENGTHS.contains(&frame) {
            return refused("frame length", &FRAME_LENGTHS, frame);
        }
        Ok(Self { header, frame })
    }

    pub(super) fn header(self) -> u64 {
        u64::from(self.header)
    }

    pub(super) fn frame(self) -> u64 {
        u64::from(self.frame)
    }

    /// Returns the length of the header for use with memory.
    pub(super) fn header_bytes(self) -> usize {
        usize::try_from(self.header).unwrap_or(usize::MAX)
    }

    /// Returns the length of a frame for use with memory.
    pub(super) fn frame_bytes(self) -> usize {
        usize::try_from(self.frame).unwrap_or(usize::MAX)
    }

    pub(super) fn frame_length(self) -> u32 {
        self.frame
    }

    /// Returns the encoded length of a regular frame.
    pub(super) fn sealed_frame(self) -> u64 {
        self.frame() + REGULAR_OVERHEAD
    }

    /// Returns the stored size of an object whose length its writer knows, or `None` on overflow.
    pub(super) fn stored_size(self, plaintext: u64) -> Option<u64> {
        let regular = plaintext.saturating_sub(1) / self.frame();
        regular.checked_mul(REGULAR_OVERHEAD)?.checked_add(plaintext)?.checked_add(self.header() + FINAL_OVERHEAD)
    }

    /// Returns the frames of an object of this stored size, or `None` if no encrypted object of the
    /// store has this size.
    pub(super) fn layout(self, stored: u64) -> Option<Layout> {
        let sealed = stored.checked_sub(self.header() + FINAL_OVERHEAD)?;
        let (regular, last) = (sealed / self.sealed_frame(), sealed % self.sealed_frame());
        // The number of the final frame is a `u32` other than zero.
        let exists = last <= self.frame() && regular < u64::from(u32::MAX);
        exists.then_some(Layout { geometry: self, stored, regular, last })
    }

    /// Returns the size of the plaintext of a stored object, or `None` if no encrypted object of the
    /// store has this stored size.
    pub(super) fn plaintext_size(self, stored: u64) -> Option<u64> {
        self.layout(stored).map(Layout::plaintext_size)
    }

    /// Returns the position of a frame in the stored object.
    pub(super) fn position(self, index: u64) -> u64 {
        index.saturating_mul(self.sealed_frame()).saturating_add(self.header())
    }

    /// Returns the part of the plaintext of frames, of `length` bytes, that was requested.
    pub(super) fn requested(self, frames: &Frames, length: usize) -> Range<usize> {
        let start = frames.first.saturating_mul(self.frame());
        let within = |position: u64| usize::try_from(position.saturating_sub(start)).unwrap_or(usize::MAX).min(length);
        within(frames.plaintext.start)..within(frames.plaintext.end)
    }

    /// Returns the stored bytes that contain the frames of a range of plaintext, without knowing the
    /// size of the object. May extend beyond the needed frames by the length of an empty final frame.
    pub(super) fn request(self, plaintext: &Range<u64>) -> Range<u64> {
        let after = plaintext.end.saturating_sub(1) / self.frame() + 1;
        self.position(plaintext.start / self.frame())..self.position(after).saturating_add(FINAL_OVERHEAD)
    }
}

impl Layout {
    pub(super) fn plaintext_size(self) -> u64 {
        // Cannot overflow: it is less than the stored size.
        self.regular.saturating_mul(self.geometry.frame()).saturating_add(self.last)
    }

    /// Returns the frames that contain a range of the plaintext. The final frame
    /// is included if the range reaches the end of the object, so that the end is authenticated.
    pub(super) fn frames(self, plaintext: Range<u64>) -> Frames {
        let frame = self.geometry.frame();
        let first = (plaintext.start / frame).min(self.regular);
        let last = match plaintext.end >= self.plaintext_size() {
            true => self.regular,
            false => (plaintext.end.saturating_sub(1) / frame).max(first),
        };
        Frames { first, count: last - first + 1, ends: last == self.regular, plaintext }
    }

    /// Returns the encoded length of the frames from `first`, `count` of them.
    pub(super) fn encoded(self, first: u64, count: u64) -> u64 {
        let end = match first + count > self.regular {
            true => self.stored,
            false => self.geometry.position(first + count),
        };
        end.saturating_sub(self.geometry.position(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(header: u32, frame: u32) -> Geometry {
        Geometry { header, frame }
    }

    #[test]
    fn a_stored_size_gives_the_size_of_the_plaintext() {
        for frame in [16, 17, 64, 4_096] {
            let geometry = geometry(300, frame);
            for size in (0..200).chain((1..5).flat_map(|k| u64::from(frame) * k - 1..u64::from(frame) * k + 2)) {
                let stored = geometry.stored_size(size).unwrap_or(0);
                assert_eq!(geometry.plaintext_size(stored), Some(size), "{size} in frames of {frame}");
                // The form of a multipart upload, whose final frame may be empty.
                let uploaded = 300 + size + 32 * (size / u64::from(frame)) + 40;
                assert_eq!(geometry.plaintext_size(uploaded), Some(size), "{size} in frames of {frame}");
            }
        }
    }

    #[test]
    fn sizes_that_no_object_has_are_rejected() {
        let geometry = geometry(256, 16);
        for stored in 0..256 + 40 {
            assert_eq!(geometry.plaintext_size(stored), None);
        }
        // Between an object of one full final frame and one with an empty frame after it.
        assert_eq!(geometry.plaintext_size(296 + 16), Some(16));
        for stored in 296 + 17..296 + 48 {
            assert_eq!(geometry.plaintext_size(stored), None, "{stored}");
        }
        assert_eq!(geometry.plaintext_size(296 + 48), Some(16));
        assert_eq!(geometry.plaintext_size(u64::MAX), None, "more frames than the format allows");
        assert_eq!(geometry.stored_size(u64::MAX), None);
    }

    #[test]
    fn a_range_touches_no_other_frames() {
        let geometry = geometry(256, 100);
        let layout = geometry.layout(geometry.stored_size(950).unwrap_or(0)).expect("the size of an object");
        for start in 0..950 {
            for end in start + 1..=950 {
                let frames = layout.frames(start..end);
                assert_eq!(frames.first, start / 100);
                assert_eq!(frames.first + frames.count - 1, (end - 1) / 100);
                assert_eq!(frames.ends, end > 900);
                let request = geometry.request(&(start..end));
                let encoded = layout.encoded(frames.first, frames.count);
                assert_eq!(request.start, geometry.position(frames.first));
                assert!(request.end >= request.start + encoded && request.end - request.start <= encoded + 90);
            }
        }
        assert_eq!(layout.frames(0..950).count, 10);
    }

    #[test]
    fn the_end_of_a_range_includes_an_empty_final_frame() {
        let geometry = geometry(256, 100);
        let uploaded = geometry.layout(256 + 200 + 64 + 40).expect("the size of an object");
        assert_eq!(uploaded.plaintext_size(), 200);
        let frames = uploaded.frames(150..200);
        assert_eq!((frames.first, frames.count, frames.ends), (1, 2, true));
        assert_eq!(uploaded.encoded(1, 2), 132 + 40);
        assert_eq!(uploaded.encoded(2, 1), 40);
        let empty = geometry.layout(296).expect("the size of an empty object");
        let frames = empty.frames(0..0);
        assert_eq!((frames.first, frames.count, frames.ends, empty.encoded(0, 1)), (0, 1, true, 40));
    }
}

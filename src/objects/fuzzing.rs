//! Entry points for the fuzz target of objects.

use std::ops::Range;

use super::geometry::Geometry;

/// Returns the size of the plaintext of a stored object, and the stored bytes that a range of it needs,
/// with the number of frames. Returns `None` if the lengths are out of range, no object has this size,
/// or the range is not within the object.
pub fn object_range(header: u32, frame: u32, stored: u64, plaintext: Range<u64>) -> Option<(u64, Range<u64>, u64)> {
    let geometry = Geometry::new(header, frame).ok()?;
    let layout = geometry.layout(stored)?;
    if plaintext.start >= plaintext.end || plaintext.end > layout.plaintext_size() {
        return None;
    }
    let frames = layout.frames(plaintext);
    let start = geometry.position(frames.first);
    Some((layout.plaintext_size(), start..start + layout.encoded(frames.first, frames.count), frames.count))
}

/// Returns the stored size of an object that is written in one call.
pub fn object_stored_size(header: u32, frame: u32, plaintext: u64) -> Option<u64> {
    Geometry::new(header, frame).ok()?.stored_size(plaintext)
}

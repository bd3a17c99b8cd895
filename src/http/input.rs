//! The bytes a connection has received and not yet understood: one buffer, reused from request to
//! request and from connection to connection.
//!
//! It grows, by doubling while reads fill it, up to the bound that its reader gives and never holds more, so a client
//! that pipelines is bounded by it too: what does not fit stays in the kernel.

/// What every connection's buffer has at least; a head of ordinary size fits.
const BYTES_MIN: usize = 4 * 1024;

/// Received bytes: `bytes[start..end]`.
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The last read filled the buffer, so more is likely to be waiting.
    was_filled: bool,
}

impl Input {
    pub(super) fn new() -> Self {
        Input { bytes: vec![0; BYTES_MIN], start: 0, end: 0, was_filled: false }
    }

    /// The bytes received and not consumed.
    pub(super) fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Drops `count` bytes at the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Forgets everything, and gives back what an unusual request made it grow by.
    pub(super) fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
        self.was_filled = false;
        self.bytes.truncate(BYTES_MIN);
        self.bytes.shrink_to_fit();
    }

    /// Free space behind the pending bytes; empty when `bytes_max` are pending.
    pub(super) fn room(&mut self, bytes_max: usize) -> &mut [u8] {
        if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.was_filled && self.bytes.len() < bytes_max {
            self.was_filled = false;
            let grown = self.bytes.len().saturating_mul(2).min(bytes_max);
            self.bytes.resize(grown, 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Counts `count` bytes that were written into [`Input::room`].
    pub(super) fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.bytes.len());
        self.was_filled = self.end == self.bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(input: &mut Input, bytes: &[u8], bytes_max: usize) -> usize {
        let room = input.room(bytes_max);
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        input.filled(count);
        count
    }

    #[test]
    fn consumed_bytes_make_room_for_new_ones() {
        let mut input = Input::new();
        assert_eq!(put(&mut input, &[b'a'; BYTES_MIN], BYTES_MIN), BYTES_MIN);
        assert_eq!(put(&mut input, b"b", BYTES_MIN), 0);

        input.consume(BYTES_MIN - 1);

        assert_eq!(put(&mut input, b"b", BYTES_MIN), 1);
        assert_eq!(input.pending(), b"ab");
    }

    #[test]
    fn the_buffer_grows_to_its_bound_and_no_further() {
        let mut input = Input::new();
        let mut held = 0;
        while put(&mut input, &[b'a'; 1024], 10_000) > 0 {
            held = input.pending().len();
        }

        assert_eq!(held, 10_000);
    }
}

//! A small seeded generator (splitmix64): ids, tokens, secrets and nastiness all come from it, so
//! a run with the same seed and the same calls can be replayed. It is not cryptographic, which is
//! why a simulator's secrets protect nothing but the simulator.

/// The generator's state.
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// Starts a stream. Two streams of one seed are kept apart by `stream`, so that drawing an id
    /// does not change which webhook is duplicated.
    pub(super) fn seeded(seed: u64, stream: u64) -> Self {
        let mut random = Self { state: seed ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93) };
        let state = random.next();
        Self { state }
    }

    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// True about once in `times` draws.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.next().checked_rem(times).is_some_and(|rest| rest == 0)
    }

    /// That many lower-case hex digits.
    pub(super) fn hex(&mut self, digits: usize) -> String {
        self.word(digits, "0123456789abcdef")
    }

    /// That many letters and digits.
    pub(super) fn alphanumeric(&mut self, length: usize) -> String {
        self.word(length, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
    }

    /// A random (version 4) UUID.
    pub(super) fn uuid(&mut self) -> String {
        let variant = self.word(1, "89ab");
        format!(
            "{}-{}-4{}-{variant}{}-{}",
            self.hex(8),
            self.hex(4),
            self.hex(3),
            self.hex(3),
            self.hex(12)
        )
    }

    fn word(&mut self, length: usize, alphabet: &str) -> String {
        (0..length)
            .filter_map(|_| {
                let draw = usize::try_from(self.next() >> 33).unwrap_or(0);
                alphabet.chars().nth(draw.checked_rem(alphabet.len())?)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stream_and_another_stream_differs() {
        let draw = |seed, stream| Random::seeded(seed, stream).uuid();

        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(draw(1, 0), draw(1, 1));
        assert_ne!(draw(1, 0), draw(2, 0));
        assert_eq!(draw(1, 0).len(), 36);
    }
}

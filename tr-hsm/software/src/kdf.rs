//! From a passphrase to the key of the file: argon2id version 1.3 (RFC 9106).

use argon2::{Algorithm, Argon2, Block, Version};
use tr_hsm::{SECRET_LEN, Secret};
use zeroize::Zeroizing;

use crate::StoreError;

/// Octets of the salt.
pub(crate) const SALT_LEN: usize = 16;

/// The cost of guessing a passphrase. It is chosen when a store is made and stands in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Params {
    /// The most memory that a header may ask for: 256 MiB. Whoever can write the file could
    /// otherwise make its reader take all there is.
    pub const MAX_MEMORY_KIB: u32 = 256 * 1024;
    /// The most passes.
    pub const MAX_PASSES: u32 = 16;
    /// The most lanes.
    pub const MAX_LANES: u32 = 16;

    /// For a server: RFC 9106's second recommended option, 64 MiB, 3 passes, 4 lanes.
    pub const SERVER: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 4,
    };

    /// The cheapest there is, **for tests only**: it hardly slows a guesser down.
    pub const INSECURE_FOR_TESTS: Self = Self {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };

    /// Takes parameters: memory in KiB (8 per lane or more), passes, lanes.
    ///
    /// # Errors
    /// [`StoreError::KdfLimit`] names the one that is outside its limits.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, StoreError> {
        within("lanes", lanes, 1, Self::MAX_LANES)?;
        within("passes", passes, 1, Self::MAX_PASSES)?;
        let least = lanes.saturating_mul(8);
        within("memory (KiB)", memory_kib, least, Self::MAX_MEMORY_KIB)?;
        Ok(Self {
            memory_kib,
            passes,
            lanes,
        })
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// Passes over it.
    #[must_use]
    pub const fn passes(&self) -> u32 {
        self.passes
    }

    /// Lanes.
    #[must_use]
    pub const fn lanes(&self) -> u32 {
        self.lanes
    }

    pub(crate) fn derive(&self, passphrase: &[u8], salt: &[u8; SALT_LEN]) -> Result<Box<Secret>, StoreError> {
        const REFUSED: StoreError = StoreError::Crypto {
            operation: "derive a key",
        };
        let params =
            argon2::Params::new(self.memory_kib, self.passes, self.lanes, Some(SECRET_LEN)).map_err(|_| REFUSED)?;
        // Our own memory, for argon2's would be given back unerased: its last blocks lead to the key.
        let mut memory = Zeroizing::new(Vec::new());
        let blocks = params.block_count();
        memory
            .try_reserve_exact(blocks)
            .map_err(|_| StoreError::KdfMemory { kib: self.memory_kib })?;
        memory.resize(blocks, Block::new());
        let mut key = Box::new(Secret::default());
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase, salt, key.as_mut_slice(), memory.as_mut_slice())
            .map_err(|_| REFUSED)?;
        Ok(key)
    }
}

impl Default for Params {
    fn default() -> Self {
        Self::SERVER
    }
}

fn within(parameter: &'static str, found: u32, least: u32, most: u32) -> Result<(), StoreError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(StoreError::KdfLimit {
        parameter,
        found,
        least,
        most,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_costs_outside_the_limits() {
        for (memory, passes, lanes, parameter) in [
            (7, 1, 1, "memory (KiB)"),
            (31, 1, 4, "memory (KiB)"),
            (Params::MAX_MEMORY_KIB + 1, 1, 1, "memory (KiB)"),
            (u32::MAX, 1, 1, "memory (KiB)"),
            (64, 0, 1, "passes"),
            (64, 17, 1, "passes"),
            (64, 1, 0, "lanes"),
            (1024, 1, u32::MAX, "lanes"),
        ] {
            let Err(StoreError::KdfLimit { parameter: named, .. }) = Params::new(memory, passes, lanes) else {
                panic!("{memory} {passes} {lanes} was taken");
            };
            assert_eq!(named, parameter);
        }
    }

    #[test]
    fn named_costs_are_within_the_limits() {
        for params in [Params::SERVER, Params::INSECURE_FOR_TESTS] {
            let again = Params::new(params.memory_kib, params.passes, params.lanes).unwrap();
            assert_eq!(again, params);
        }
    }
}

//! What one instance may use, summed over all that it is made of.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::tally::Tally;

/// Bytes that one element of a table counts for.
const ELEMENT: usize = 8;
/// Core instances in a component. A Python component has 38.
pub(crate) const INSTANCES: usize = 128;
/// Linear memories in a component.
const MEMORIES: usize = 8;
/// Tables in a component.
const TABLES: usize = 32;
/// Elements of one table. Those of large interpreters have some ten thousand.
pub(crate) const TABLE: usize = 100_000;

/// Refuses growth over a total and notes the peak. Wasmtime's own limiter limits each memory, not
/// their sum.
#[derive(Debug)]
pub(crate) struct Limiter {
    most: usize,
    used: usize,
    /// What the growth that was allowed last adds, to be taken back if it fails.
    pending: usize,
    tally: Arc<Tally>,
}

impl Limiter {
    /// At most `most` bytes in memories and tables; the peak goes to `tally`.
    #[must_use]
    pub(crate) fn new(most: u64, tally: Arc<Tally>) -> Self {
        Self {
            most: usize::try_from(most).unwrap_or(usize::MAX),
            used: 0,
            pending: 0,
            tally,
        }
    }

    /// Bytes now in memories and tables.
    #[must_use]
    pub(crate) fn used(&self) -> u64 {
        self.used as u64
    }

    fn grow(&mut self, more: usize) -> bool {
        match self.used.checked_add(more).filter(|sum| *sum <= self.most) {
            Some(sum) => {
                self.used = sum;
                self.pending = more;
                self.tally.memory_in_use(sum);
                true
            }
            None => {
                self.pending = 0;
                self.tally.memory_refused();
                false
            }
        }
    }

    fn take_back(&mut self) {
        self.used -= std::mem::take(&mut self.pending);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE {
            self.tally.table_refused();
            return Ok(false);
        }
        let more = desired.saturating_sub(current);
        Ok(self.grow(more.saturating_mul(ELEMENT)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_share_one_total() {
        let tally = Arc::new(Tally::default());
        let mut limiter = Limiter::new(100, tally.clone());
        assert!(limiter.memory_growing(0, 50, None).unwrap());
        assert!(limiter.table_growing(0, 5, None).unwrap());
        assert!(!limiter.memory_growing(0, 11, None).unwrap());
        assert!(limiter.memory_growing(50, 60, None).unwrap());
        assert_eq!(tally.memory_peak(), 100);
        assert!(tally.met_memory_limit());
    }

    #[test]
    fn a_growth_that_failed_is_given_back_once() {
        let mut limiter = Limiter::new(100, Arc::new(Tally::default()));
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        limiter
            .memory_grow_failed(wasmtime::Error::msg("no room"))
            .unwrap();
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        assert!(!limiter.memory_growing(100, 101, None).unwrap());
        limiter
            .memory_grow_failed(wasmtime::Error::msg("refused"))
            .unwrap();
        assert!(!limiter.memory_growing(100, 101, None).unwrap());
    }

    #[test]
    fn a_growth_beyond_the_address_space_is_refused() {
        let mut limiter = Limiter::new(u64::MAX, Arc::new(Tally::default()));
        assert!(limiter.memory_growing(0, 1, None).unwrap());
        assert!(!limiter.table_growing(0, usize::MAX, None).unwrap());
    }
}

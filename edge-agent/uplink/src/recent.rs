//! A map of bounded size that forgets what came first.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// The newest entries, at most as many as it was made for.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    entries: HashMap<K, V>,
    /// The keys of `entries`, oldest first.
    order: VecDeque<K>,
    most: usize,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), most }
    }

    /// Puts an entry in the place of the one with its key, or behind the others.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.entries.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        while self.entries.len() > self.most {
            let Some(oldest) = self.order.pop_front() else { return };
            self.entries.remove(&oldest);
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let removed = self.entries.remove(key)?;
        self.order.retain(|kept| kept != key);
        Some(removed)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.entries.retain(|_, value| keep(value));
        self.order.retain(|key| self.entries.contains_key(key));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first_and_what_was_removed_does_not_count() {
        let mut recent = Recent::new(2);
        recent.insert(1, 'a');
        recent.insert(2, 'b');
        recent.insert(1, 'c');
        assert_eq!(recent.remove(&1), Some('c'));
        recent.insert(1, 'd');
        recent.insert(3, 'e');
        assert_eq!((recent.get(&1), recent.get(&2), recent.get(&3)), (Some(&'d'), None, Some(&'e')));
        recent.retain(|value| *value != 'd');
        recent.insert(4, 'f');
        assert_eq!((recent.len(), recent.get(&3), recent.get(&1)), (2, Some(&'e'), None));
    }
}

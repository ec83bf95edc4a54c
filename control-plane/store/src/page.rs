//! Lists in pieces. A page goes on after a key, not at an offset, so it neither skips nor repeats when others write.

/// The most items that a page holds, whatever was asked for.
pub const MAX_PAGE: usize = 1_000;

/// A piece of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, K> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// Key of the last item, to ask for what follows it; `None` at the end of the list.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// How many items a page holds when `limit` were asked for: 1 to [`MAX_PAGE`].
    pub fn size(limit: usize) -> usize {
        limit.clamp(1, MAX_PAGE)
    }

    /// Makes a page of at most [`Page::size`] items from up to one item more, which tells whether the list goes on.
    pub fn from_overfull(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> K) -> Self {
        let size = Self::size(limit);
        let more = items.len() > size;
        items.truncate(size);
        let next = if more { items.last().map(key) } else { None };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_whether_the_list_goes_on() {
        let page = Page::from_overfull(vec![1, 2, 3], 2, |n| *n);
        assert_eq!(page, Page { items: vec![1, 2], next: Some(2) });
        assert_eq!(Page::from_overfull(vec![1, 2], 2, |n| *n).next, None);
        assert_eq!(Page::from_overfull(vec![1], 0, |n| *n).items, [1]);
    }
}

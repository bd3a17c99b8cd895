//! A list with a selection: the rows that are loaded, which is selected, which is drawn first.

#[expect(clippy::struct_excessive_bools, reason = "two facts that vary independently")]
/// A list as a view shows it. It never holds more rows than whoever fills it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T> {
    /// The loaded rows.
    pub rows: Vec<T>,
    /// The selected row's place in `rows`; 0 in an empty list.
    pub selected: usize,
    /// The first drawn row's place in `rows`.
    pub top: usize,
    /// Whether anything was loaded yet: an empty list that was loaded says what to do next.
    pub is_loaded: bool,
    /// Whether rows follow that are not loaded.
    pub goes_on: bool,
    /// Why it could not be read the last time.
    pub trouble: Option<String>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            selected: 0,
            top: 0,
            is_loaded: false,
            goes_on: false,
            trouble: None,
        }
    }
}

impl<T> List<T> {
    /// The selected row.
    pub fn selected(&self) -> Option<&T> {
        self.rows.get(self.selected)
    }

    /// Moves the selection by so many rows, as far as there are any.
    pub fn step(&mut self, by: isize, height: usize) {
        self.select(self.selected.saturating_add_signed(by), height);
    }

    /// Selects a row, or the last, and scrolls so that it is drawn.
    pub fn select(&mut self, place: usize, height: usize) {
        self.selected = place.min(self.rows.len().saturating_sub(1));
        let height = height.max(1);
        if self.selected < self.top {
            self.top = self.selected;
        } else if self.selected >= self.top.saturating_add(height) {
            self.top = self.selected.saturating_add(1).saturating_sub(height);
        }
        let last_top = self.rows.len().saturating_sub(height);
        self.top = self.top.min(last_top);
    }

    /// Puts other rows in place of the loaded ones, and keeps the selection on the row it was on.
    pub fn replace<K: PartialEq>(&mut self, rows: Vec<T>, key: impl Fn(&T) -> K, height: usize) {
        let selected = self.selected().map(&key);
        let drawn_above = self.selected.saturating_sub(self.top);
        self.rows = rows;
        self.is_loaded = true;
        self.trouble = None;
        let place = selected.and_then(|it| self.rows.iter().position(|row| key(row) == it));
        if let Some(place) = place {
            // Who looks at the beginning goes on seeing what is new there.
            self.top = if self.top == 0 { 0 } else { place.saturating_sub(drawn_above) };
        }
        self.select(place.unwrap_or(self.selected), height);
    }

    /// How many rows follow the selected one.
    pub fn below(&self) -> usize {
        self.rows.len().saturating_sub(self.selected).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: usize) -> List<usize> {
        List { rows: (0..count).collect(), is_loaded: true, ..List::default() }
    }

    #[test]
    fn the_selected_row_is_always_drawn() {
        let mut list = of(100);
        for (by, selected, top) in
            [(3, 3, 0), (9, 12, 3), (-1, 11, 3), (-10, 1, 1), (1_000, 99, 90), (-1_000, 0, 0)]
        {
            list.step(by, 10);
            assert_eq!((list.selected, list.top), (selected, top));
        }
    }

    #[test]
    fn new_rows_leave_the_selection_where_it_was() {
        let mut list = of(5);
        list.select(3, 10);
        list.replace(vec![9, 8, 0, 1, 2, 3, 4], |it| *it, 10);
        assert_eq!((list.selected(), list.top), (Some(&3), 0));

        list.replace(Vec::new(), |it| *it, 10);
        assert_eq!((list.selected(), list.selected), (None, 0));
    }
}

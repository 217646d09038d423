//! The standard's operators: what a count must be.

use std::fmt;

/// A condition on a count, in rows or in percent of all rows. All parts must hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) tests: Vec<Test>,
    pub(crate) is_percent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Test {
    Is(f64),
    IsNot(f64),
    Above(f64),
    AtLeast(f64),
    Below(f64),
    AtMost(f64),
    Within(f64, f64),
    Outside(f64, f64),
}

type OfOne = fn(f64) -> Test;
type OfTwo = fn(f64, f64) -> Test;

/// The operators of the standard that take one number.
pub(crate) const OPERATORS: [(&str, OfOne); 8] = [
    ("mustBe", Test::Is),
    ("mustNotBe", Test::IsNot),
    ("mustBeGreaterThan", Test::Above),
    ("mustBeGreaterOrEqualTo", Test::AtLeast),
    ("mustBeGreaterThanOrEqualTo", Test::AtLeast),
    ("mustBeLessThan", Test::Below),
    ("mustBeLessOrEqualTo", Test::AtMost),
    ("mustBeLessThanOrEqualTo", Test::AtMost),
];

/// Those that take a list of two.
pub(crate) const RANGES: [(&str, OfTwo); 2] = [("mustBeBetween", Test::Within), ("mustNotBeBetween", Test::Outside)];

impl Test {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::Is(number) => value == number,
            Self::IsNot(number) => value != number,
            Self::Above(number) => value > number,
            Self::AtLeast(number) => value >= number,
            Self::Below(number) => value < number,
            Self::AtMost(number) => value <= number,
            Self::Within(low, high) => low <= value && value <= high,
            Self::Outside(low, high) => value < low || high < value,
        }
    }
}

impl Condition {
    /// Whether `count` of `rows` is allowed. No rows are 0 percent of anything.
    pub(crate) fn holds(&self, count: u64, rows: u64) -> bool {
        let value = match self.is_percent {
            true if rows == 0 => 0.0,
            true => count as f64 / rows as f64 * 100.0,
            false => count as f64,
        };
        self.tests.iter().all(|test| test.holds(value))
    }

    /// Whether it says: none at all. Then the first one that there is breaks it.
    pub(crate) fn is_none(&self) -> bool {
        !self.tests.is_empty()
            && self.tests.iter().all(|test| match *test {
                Test::Is(number) | Test::AtMost(number) => number == 0.0,
                Test::Below(number) => !self.is_percent && number > 0.0 && number <= 1.0,
                _ => false,
            })
    }

    /// Whether no count can be right.
    pub(crate) fn is_impossible(&self) -> bool {
        let (mut low, mut high, mut is_open) = (0.0_f64, f64::INFINITY, false);
        for test in &self.tests {
            match *test {
                Test::Is(number) => (low, high) = (low.max(number), high.min(number)),
                Test::AtLeast(number) => low = low.max(number),
                Test::AtMost(number) => high = high.min(number),
                Test::Within(from, to) => (low, high) = (low.max(from), high.min(to)),
                Test::Above(number) => (low, is_open) = (low.max(number), true),
                Test::Below(number) => (high, is_open) = (high.min(number), true),
                Test::IsNot(_) | Test::Outside(_, _) => {}
            }
        }
        low > high || (is_open && low == high)
    }

    /// The least and the greatest count that it allows, where it says no more than that.
    pub(crate) fn limits(&self) -> Option<(f64, f64)> {
        let (mut low, mut high) = (0.0_f64, f64::INFINITY);
        // Half a row or less stands for "not the bound itself".
        let step = if self.is_percent { f64::EPSILON } else { 1.0 };
        for test in &self.tests {
            match *test {
                Test::Is(number) => (low, high) = (low.max(number), high.min(number)),
                Test::AtLeast(number) => low = low.max(number),
                Test::AtMost(number) => high = high.min(number),
                Test::Within(from, to) => (low, high) = (low.max(from), high.min(to)),
                Test::Above(number) => low = low.max(number + step),
                Test::Below(number) => high = high.min(number - step),
                Test::IsNot(_) | Test::Outside(_, _) => return None,
            }
        }
        Some((low, high))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.is_percent { " percent" } else { "" };
        for (index, test) in self.tests.iter().enumerate() {
            if index > 0 {
                f.write_str(" and ")?;
            }
            match *test {
                Test::Is(number) => write!(f, "exactly {number}{unit}")?,
                Test::IsNot(number) => write!(f, "not {number}{unit}")?,
                Test::Above(number) => write!(f, "more than {number}{unit}")?,
                Test::AtLeast(number) => write!(f, "at least {number}{unit}")?,
                Test::Below(number) => write!(f, "less than {number}{unit}")?,
                Test::AtMost(number) => write!(f, "at most {number}{unit}")?,
                Test::Within(low, high) => write!(f, "between {low} and {high}{unit}")?,
                Test::Outside(low, high) => write!(f, "not between {low} and {high}{unit}")?,
            }
        }
        Ok(())
    }
}

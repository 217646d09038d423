//! What a change of a rule does to the data that is allowed.

use crate::condition::Condition;
use crate::model::{Bound, Table, Values};
use crate::value::{Value, order};

/// What a change does to the data that is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Effect {
    pub(super) tightens: bool,
    pub(super) loosens: bool,
}

impl Effect {
    pub(super) const NONE: Self = Self { tightens: false, loosens: false };
    pub(super) const TIGHTENS: Self = Self { tightens: true, loosens: false };
    pub(super) const LOOSENS: Self = Self { tightens: false, loosens: true };
    pub(super) const BOTH: Self = Self { tightens: true, loosens: true };

    /// Of a rule that came, went or changed.
    pub(super) fn of_rule<T>(old: Option<&T>, new: Option<&T>) -> Self {
        match (old, new) {
            (None, None) => Self::NONE,
            (None, Some(_)) => Self::TIGHTENS,
            (Some(_), None) => Self::LOOSENS,
            (Some(_), Some(_)) => Self::BOTH,
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { tightens: self.tightens || other.tightens, loosens: self.loosens || other.loosens }
    }

    /// Readers miss the column; writers that send it are refused unless more columns may come.
    pub(super) fn removed(new: &Table) -> Self {
        Self { tightens: !new.takes_more_columns(), loosens: true }
    }
}

/// What moving one end of a range does.
pub(super) fn bound(old: Option<&Bound>, new: Option<&Bound>, is_low: bool) -> Effect {
    let (Some(old), Some(new)) = (old, new) else { return Effect::of_rule(old, new) };
    let Some(order) = comparable(old, new) else { return Effect::BOTH };
    let order = if is_low { order } else { order.reverse() };
    match (order, old.is_inside, new.is_inside) {
        // Of one value, the end that is outside is the tighter one.
        (std::cmp::Ordering::Equal, true, false) => Effect::TIGHTENS,
        (std::cmp::Ordering::Equal, false, true) => Effect::LOOSENS,
        (std::cmp::Ordering::Equal, _, _) => Effect::NONE,
        (std::cmp::Ordering::Less, _, _) => Effect::TIGHTENS,
        (std::cmp::Ordering::Greater, _, _) => Effect::LOOSENS,
    }
}

/// The order of two bounds of what may be two types: by what is written where both are plain numbers.
fn comparable(old: &Bound, new: &Bound) -> Option<std::cmp::Ordering> {
    const SCALE: i8 = 18;
    let decimals = (crate::value::decimal(&old.text, SCALE), crate::value::decimal(&new.text, SCALE));
    if let (Some(old), Some(new)) = decimals {
        return Some(old.cmp(&new));
    }
    order(&old.value, &new.value)
}

pub(super) fn multiples(old: Option<&Bound>, new: Option<&Bound>) -> Effect {
    let (Some(old), Some(new)) = (old, new) else { return Effect::of_rule(old, new) };
    let (Value::Whole(old), Value::Whole(new)) = (&old.value, &new.value) else { return Effect::BOTH };
    let divides = |small: &arrow_buffer::i256, large: &arrow_buffer::i256| {
        large.checked_rem(*small).is_some_and(|rest| rest == arrow_buffer::i256::ZERO)
    };
    Effect { tightens: !divides(new, old), loosens: !divides(old, new) }
}

/// What changing an enumeration does; `forbids` for one of values that must not be.
pub(super) fn values(old: Option<&Values>, new: Option<&Values>, forbids: bool) -> Effect {
    let (Some(old), Some(new)) = (old, new) else { return Effect::of_rule(old, new) };
    let lacks = |own: &Values, other: &Values| {
        let other: std::collections::HashSet<&str> = other.texts.iter().map(String::as_str).collect();
        own.texts.iter().any(|text| !other.contains(text.as_str()))
    };
    let (gone, came) = (lacks(old, new), lacks(new, old));
    if forbids { Effect { tightens: came, loosens: gone } } else { Effect { tightens: gone, loosens: came } }
}

/// What changing the conditions on one count does.
pub(super) fn conditions(old: &[Condition], new: &[Condition]) -> Effect {
    let limits = |all: &[Condition]| {
        all.iter().try_fold((0.0_f64, f64::INFINITY), |(low, high), one| {
            let (own_low, own_high) = one.limits()?;
            Some((low.max(own_low), high.min(own_high)))
        })
    };
    match (limits(old), limits(new)) {
        (Some((low, high)), Some((low_now, high_now))) => {
            Effect { tightens: low_now > low || high_now < high, loosens: low_now < low || high_now > high }
        }
        _ => Effect::of_rule(old.first(), new.first()),
    }
}

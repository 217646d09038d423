//! Two versions of a contract: what changed, and whom it breaks.
//!
//! - *backward*: data that kept the old version keeps the new one, so whoever writes by the old one may go on. What
//!   tightens breaks it.
//! - *forward*: data that keeps the new version keeps the old one, so whoever reads by the old one may go on. What loosens
//!   breaks it.
//!
//! Both are judged with casts allowed, as in the mode `coerce`: an optional column may be absent, columns may move, and a
//! wider type takes what a narrower one held. A reader ignores columns that it does not know.

use airlane_model::contract::{Change, Compatibility};

use crate::check::rules as words;
use crate::condition::Condition;
use crate::model::{Column, Contract, Key, Table, Values};
use crate::types::write;

mod effect;
mod types;

use effect::{Effect, bound, conditions, multiples, values};
use types::Relation;

/// The changes that a compatibility forbids; empty when `new` may follow `old`.
pub fn compare(old: &Contract, new: &Contract, compatibility: Compatibility) -> Vec<Change> {
    let mut changes = diff(old, new);
    changes.retain(|change| change.breaks(compatibility));
    changes
}

/// All changes from one version to another: those of columns in the order of the old version, then those of the table.
pub fn diff(old: &Contract, new: &Contract) -> Vec<Change> {
    let mut changes = Changes { column: None, list: Vec::new() };
    let (old_table, new_table) = (old.table(), new.table());
    for column in old_table.columns() {
        changes.column = Some(column.name().to_owned());
        match new_table.column(column.name()) {
            None => changes.add("column_removed", Some(said(column)), None, Effect::removed(new_table)),
            Some(now) => changes.of_column(column, now),
        }
    }
    for column in new_table.columns() {
        if old_table.column(column.name()).is_none() {
            changes.column = Some(column.name().to_owned());
            let effect = Effect { tightens: column.is_required(), loosens: false };
            changes.add("column_added", None, Some(said(column)), effect);
        }
    }
    changes.moved(old_table, new_table);
    changes.column = None;
    changes.of_table(old_table, new_table);
    let text = |contract: &Contract| contract.description().map(str::to_owned);
    changes.rule("description", text(old), text(new), Effect::NONE);
    changes.list
}

struct Changes {
    column: Option<String>,
    list: Vec<Change>,
}

impl Changes {
    fn add(&mut self, what: &str, from: Option<String>, to: Option<String>, effect: Effect) {
        self.list.push(Change {
            column: self.column.clone(),
            what: what.to_owned(),
            from,
            to,
            breaks_backward: effect.tightens,
            breaks_forward: effect.loosens,
        });
    }

    /// A rule in words, where they differ.
    fn rule(&mut self, what: &str, from: Option<String>, to: Option<String>, effect: Effect) {
        if from != to {
            self.add(what, from, to, effect);
        }
    }

    fn of_column(&mut self, old: &Column, new: &Column) {
        let (from, to) = (write(old.data_type()), write(new.data_type()));
        let effect = match types::relation(old.data_type(), new.data_type()) {
            Relation::Same | Relation::Encoding => Effect::NONE,
            Relation::Wider => Effect::LOOSENS,
            Relation::Narrower => Effect::TIGHTENS,
            Relation::Other => Effect::BOTH,
        };
        self.rule("type", Some(from), Some(to), effect);
        let required = |column: &Column| column.is_required().then(|| "required".to_owned());
        let effect = if new.is_required() { Effect::TIGHTENS } else { Effect::LOOSENS };
        self.rule("required", required(old), required(new), effect);
        let low = bound(old.minimum.as_ref(), new.minimum.as_ref(), true);
        let high = bound(old.maximum.as_ref(), new.maximum.as_ref(), false);
        let range = |column: &Column| Some(words::range(column)).filter(|words| !words.is_empty());
        self.rule("range", range(old), range(new), low.and(high));
        let step = |column: &Column| column.multiple_of.as_ref().map(|step| step.text.clone());
        self.rule("multipleOf", step(old), step(new), multiples(old.multiple_of.as_ref(), new.multiple_of.as_ref()));
        let listed = |values: &Option<Values>| values.as_ref().map(|values| words::list(&values.texts));
        let effect = values(old.values.as_ref(), new.values.as_ref(), false);
        self.sets(
            "validValues",
            (listed(&old.values), old.values.as_ref()),
            (listed(&new.values), new.values.as_ref()),
            effect,
        );
        let effect = values(old.missing.as_ref(), new.missing.as_ref(), true);
        self.sets(
            "missingValues",
            (listed(&old.missing), old.missing.as_ref()),
            (listed(&new.missing), new.missing.as_ref()),
            effect,
        );
        let pattern = |column: &Column| column.pattern.as_ref().map(|pattern| format!("`{}`", pattern.as_str()));
        let effect = Effect::of_rule(old.pattern.as_ref(), new.pattern.as_ref());
        self.rule("pattern", pattern(old), pattern(new), effect);
        self.lengths(old, new);
        let unit = |column: &Column| match (column.unit(), column.unit_scale()) {
            (None, None) => None,
            (unit, scale) => Some(
                format!("{}{}", scale.map(|scale| format!("{scale} ")).unwrap_or_default(), unit.unwrap_or(""))
                    .trim()
                    .to_owned(),
            ),
        };
        // A unit that is now said is no other unit.
        let effect = if unit(old).is_none() { Effect::NONE } else { Effect::BOTH };
        self.rule("unit", unit(old), unit(new), effect);
        let format = |column: &Column| column.format.as_ref().map(|format| format.text().to_owned());
        self.rule("format", format(old), format(new), Effect::TIGHTENS);
        self.counted(old, new);
        let text = |column: &Column| column.description().map(str::to_owned);
        self.rule("description", text(old), text(new), Effect::NONE);
    }

    /// Enumerations may be too long for words to differ.
    fn sets(
        &mut self,
        what: &str,
        old: (Option<String>, Option<&Values>),
        new: (Option<String>, Option<&Values>),
        effect: Effect,
    ) {
        if effect != Effect::NONE {
            self.add(what, old.0, new.0, effect);
        } else {
            let sorted = |values: Option<&Values>| values.map(|values| values.texts.len());
            if sorted(old.1) != sorted(new.1) {
                self.add(what, old.0, new.0, effect);
            }
        }
    }

    fn lengths(&mut self, old: &Column, new: &Column) {
        let ends = |column: &Column| (column.length_min.unwrap_or(0), column.length_max.unwrap_or(u64::MAX));
        let words = |column: &Column| match (column.length_min, column.length_max) {
            (None, None) => None,
            (min, None) => Some(format!("{} or longer", min.unwrap_or(0))),
            (min, Some(max)) => Some(format!("{} to {max}", min.unwrap_or(0))),
        };
        let ((low, high), (low_now, high_now)) = (ends(old), ends(new));
        let effect = Effect { tightens: low_now > low || high_now < high, loosens: low_now < low || high_now > high };
        self.rule("length", words(old), words(new), effect);
    }

    fn counted(&mut self, old: &Column, new: &Column) {
        let say = |column: &Column, metric: &str| {
            let all: Vec<String> = column
                .counted
                .iter()
                .filter(|counted| counted.metric.name() == metric)
                .map(|counted| format!("{:?} {}", counted.metric, counted.allowed))
                .collect();
            (!all.is_empty()).then(|| all.join(", "))
        };
        for metric in ["nullValues", "missingValues", "invalidValues"] {
            let (from, to) = (say(old, metric), say(new, metric));
            if from == to {
                continue;
            }
            let effect = Effect::of_rule(from.as_ref(), to.as_ref());
            let allowed = |column: &Column| {
                let own: Vec<String> = column
                    .counted
                    .iter()
                    .filter(|counted| counted.metric.name() == metric)
                    .map(|counted| counted.allowed.to_string())
                    .collect();
                (!own.is_empty()).then(|| own.join(", "))
            };
            self.add(metric, allowed(old), allowed(new), effect);
        }
    }

    /// Columns that both have, in another order.
    fn moved(&mut self, old: &Table, new: &Table) {
        let both = |own: &Table, other: &Table| -> Vec<String> {
            let names = own.columns().iter().map(Column::name);
            names.filter(|name| other.column(name).is_some()).map(str::to_owned).collect()
        };
        let (was, is) = (both(old, new), both(new, old));
        if let Some((name, _)) = was.iter().zip(&is).find(|(was, is)| was != is) {
            self.column = Some(name.clone());
            self.add("column_moved", None, None, Effect::NONE);
        }
    }

    fn of_table(&mut self, old: &Table, new: &Table) {
        let say = |key: &Key| {
            let word = if key.is_primary { "primary key" } else { "unique" };
            match &key.allowed {
                None => format!("{word} ({})", key.columns.join(", ")),
                Some(allowed) => format!("{allowed} repeated ({})", key.columns.join(", ")),
            }
        };
        for key in &old.keys {
            if !new.keys.contains(key) {
                self.add("key", Some(say(key)), None, Effect::LOOSENS);
            }
        }
        for key in &new.keys {
            if !old.keys.contains(key) {
                self.add("key", None, Some(say(key)), Effect::TIGHTENS);
            }
        }
        let rows = |table: &Table| {
            let all: Vec<String> = table.rows.iter().map(Condition::to_string).collect();
            (!all.is_empty()).then(|| all.join(" and "))
        };
        self.rule("rowCount", rows(old), rows(new), conditions(&old.rows, &new.rows));
        let age = |table: &Table| table.freshness.as_ref().map(|own| format!("{} of `{}`", own.text, own.column));
        let effect = match (&old.freshness, &new.freshness) {
            (Some(old), Some(new)) if old.column == new.column => {
                Effect { tightens: new.age_max < old.age_max, loosens: new.age_max > old.age_max }
            }
            (old, new) => Effect::of_rule(old.as_ref(), new.as_ref()),
        };
        self.rule("freshness", age(old), age(new), effect);
        let more = |table: &Table| Some(if table.takes_more_columns() { "taken" } else { "refused" }.to_owned());
        let effect = if new.takes_more_columns() { Effect::NONE } else { Effect::TIGHTENS };
        self.rule("additionalColumns", more(old), more(new), effect);
    }
}

/// A column for a list of changes.
fn said(column: &Column) -> String {
    let required = if column.is_required() { ", required" } else { "" };
    format!("{}{required}", write(column.data_type()))
}

#[cfg(test)]
mod tests;

//! Describe calls: filters and pages.

use serde_json::{Value, json};

use super::refusal::{Input, Refusal};

/// One kind of Describe call.
pub(super) struct Listing {
    /// The list's name in the answer.
    pub(super) list: &'static str,
    /// What one finds none of, in DMS's message.
    pub(super) things: &'static str,
    /// The filters it knows, each with the members it compares.
    pub(super) filters: &'static [(&'static str, &'static [&'static str])],
}

impl Listing {
    /// The page asked for. `items` are in the order of their keys, and a page's marker is the key of its last item, so
    /// that nothing is skipped or shown twice when items come and go between two pages.
    pub(super) fn page(
        &self,
        input: Input<'_>,
        items: impl Iterator<Item = (String, Value)>,
    ) -> Result<Value, Refusal> {
        let limit = match input.0.get("MaxRecords").and_then(Value::as_u64) {
            None => 100,
            Some(limit @ 20..=100) => limit as usize,
            Some(limit) => {
                return Err(Refusal::bad_value(format!(
                    "Invalid value {limit} for MaxRecords. Must be between 20 and 100"
                )));
            }
        };
        let filters = self.filters(input)?;
        let matching: Vec<_> =
            items.filter(|(_, item)| filters.iter().all(|filter| filter.admits(item))).collect();
        if matching.is_empty() && !filters.is_empty() {
            let nothing = format!("No {} found matching filter", self.things);
            return Err(Refusal::not_found(nothing));
        }
        let after = input.text("Marker").unwrap_or_default();
        let mut rest = matching.into_iter().filter(|(key, _)| key.as_str() > after).peekable();
        let mut page = Vec::new();
        let mut last = None;
        while page.len() < limit
            && let Some((key, item)) = rest.next()
        {
            page.push(item);
            last = Some(key);
        }
        let mut answer = json!({ self.list: page });
        if rest.peek().is_some() {
            answer["Marker"] = json!(last);
        }
        Ok(answer)
    }

    fn filters<'a>(&self, input: Input<'a>) -> Result<Vec<Filter<'a>>, Refusal> {
        let given = input.0.get("Filters").and_then(Value::as_array);
        let given = given.into_iter().flatten().map(|filter| {
            let filter = Input(filter);
            let name = filter.required("Name")?;
            let known = self.filters.iter().find(|(known, _)| *known == name);
            let (_, members) = known
                .ok_or_else(|| Refusal::bad_value(format!("Unrecognized filter name specified: {name}")))?;
            let values = filter.texts("Values");
            Ok(Filter { members, values })
        });
        given.collect()
    }
}

struct Filter<'a> {
    members: &'static [&'static str],
    values: Vec<&'a str>,
}

impl Filter<'_> {
    fn admits(&self, item: &Value) -> bool {
        let member = |name: &&str| item.get(*name).and_then(Value::as_str).unwrap_or_default();
        self.members.iter().any(|name| self.values.contains(&member(name)))
    }
}

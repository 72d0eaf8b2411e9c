//! Which tables a task's mappings select.

use serde_json::Value;

/// The selection rules of table mappings.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    includes: Vec<(String, String)>,
    excludes: Vec<(String, String)>,
}

impl Selection {
    /// Reads table mappings that DMS has accepted.
    pub fn new(mappings: &str) -> Self {
        let document: Value = serde_json::from_str(mappings).unwrap_or_default();
        let mut selection = Self::default();
        for rule in document["rules"].as_array().into_iter().flatten() {
            if rule["rule-type"] != "selection" {
                continue;
            }
            let name = |of: &str| rule["object-locator"][of].as_str().unwrap_or_default().to_owned();
            let pattern = (name("schema-name"), name("table-name"));
            if rule["rule-action"] == "exclude" {
                selection.excludes.push(pattern);
            } else {
                selection.includes.push(pattern);
            }
        }
        selection
    }

    /// Whether a table is selected: by one rule at least, and excluded by none.
    pub fn takes(&self, schema: &str, table: &str) -> bool {
        let among = |rules: &[(String, String)]| {
            let mut rules = rules.iter();
            rules.any(|(in_schema, tables)| is_like(schema, in_schema) && is_like(table, tables))
        };
        among(&self.includes) && !among(&self.excludes)
    }
}

/// Whether a name is meant: `%` is any text, `_` any character, and one in brackets itself.
fn is_like(name: &str, pattern: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return name.is_empty();
    };
    let rest = &pattern[first.len_utf8()..];
    if first == '%' {
        let mut ends = (0..=name.len()).filter(|end| name.is_char_boundary(*end));
        return ends.any(|end| is_like(&name[end..], rest));
    }
    if let Some((literal, rest)) = pattern.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return name.strip_prefix(literal).is_some_and(|name| is_like(name, rest));
    }
    let mut characters = name.chars();
    match characters.next() {
        Some(it) if first == '_' || first == it => is_like(characters.as_str(), rest),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Selection;

    fn selection(rules: &[(&str, &str, &str)]) -> Selection {
        let rules = rules.iter().map(|(action, schema, table)| {
            json!({ "rule-type": "selection", "rule-action": action,
                "object-locator": { "schema-name": schema, "table-name": table } })
        });
        Selection::new(&json!({ "rules": rules.collect::<Vec<_>>() }).to_string())
    }

    #[test]
    fn wildcards_select_and_an_exclusion_wins() {
        let all_but = selection(&[("exclude", "blog", "sluice%"), ("include", "b_og", "%")]);
        assert!(all_but.takes("blog", "examples"));
        assert!(!all_but.takes("blog", "sluice_schema_history"));
        assert!(!all_but.takes("shop", "examples"));
    }

    #[test]
    fn an_underscore_is_itself_in_brackets_only() {
        let names = ["my_app", "my-app", "my__app", "myapp"];
        let taken = |schema: &str| names.map(|name| selection(&[("include", schema, "%")]).takes(name, "t"));
        assert_eq!(taken("my_app"), [true, true, false, false]);
        assert_eq!(taken("my[_]app"), [true, false, false, false]);
        assert_eq!(taken("my[%]app"), [false; 4]);
    }

    #[test]
    fn without_an_inclusion_nothing_is_selected() {
        assert!(!selection(&[("exclude", "blog", "a")]).takes("blog", "b"));
        assert!(!selection(&[]).takes("blog", "b"));
    }
}

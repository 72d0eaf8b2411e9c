//! The text behind FAILED, and every place that makes one from something else.

use std::any::Any;
use std::fmt;

use lambda_runtime::Context;

/// Why a request failed, in words that an operator can act on.
#[derive(Clone, Debug)]
pub(crate) struct Reason {
    head: String,
    log: String,
}

impl Reason {
    /// A reason, with the place of the log that tells more.
    pub(crate) fn new(text: impl fmt::Display, context: &Context) -> Self {
        let (group, stream) = (&context.env_config.log_group, &context.env_config.log_stream);
        Self {
            head: clean(&text.to_string()),
            log: clean(&format!(
                "(log group {group}, stream {stream}, Lambda request {})",
                context.request_id
            )),
        }
    }

    /// The same reason, `bytes` shorter or more. The head is kept: it names what was being done. The place of the log goes
    /// once nothing of the text is left.
    pub(crate) fn shortened(mut self, bytes: usize) -> Self {
        if self.head == "…" {
            self.log.clear();
            return self;
        }
        let keep = match self.head.strip_suffix('…') {
            Some(head) => head.len().saturating_sub(bytes),
            None => self.head.len().saturating_sub(bytes + '…'.len_utf8()),
        };
        self.head.truncate(self.head.floor_char_boundary(keep));
        self.head.push('…');
        self
    }

    /// Whether nothing of it is left to shorten.
    pub(crate) fn is_empty(&self) -> bool {
        self.head == "…" && self.log.is_empty()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.log.as_str() {
            "" => f.write_str(&self.head),
            log => write!(f, "{} {log}", self.head),
        }
    }
}

/// What a panic said.
pub(crate) fn of_panic(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler panicked: {}", said.unwrap_or("(no message)"))
}

/// Takes out what XML, in which CloudFormation reports stack events, can't hold.
fn clean(text: &str) -> String {
    let words: String = text
        .chars()
        .map(|c| if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) { ' ' } else { c })
        .collect();
    words.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> Reason {
        Reason::new(text, &Context::default())
    }

    #[test]
    fn control_characters_become_spaces() {
        assert!(reason("a\0b\nc\u{7}\u{ffff}").to_string().starts_with("a b c (log group"));
    }

    #[test]
    fn shortening_keeps_the_head_and_the_place_of_the_log() {
        let short = reason("stopping task orders: a very long story").shortened(16);
        assert!(short.to_string().starts_with("stopping task orders… (log group"), "{short}");
        let shorter = short.shortened(1);
        assert!(shorter.to_string().starts_with("stopping task order… "), "{shorter}");
    }

    #[test]
    fn shortening_ends_at_nothing_and_never_splits_a_character() {
        let mut reason = reason(&"🦀".repeat(20));
        for _ in 0..40 {
            reason = reason.shortened(3);
        }
        assert!(reason.is_empty());
        assert_eq!(reason.to_string(), "…");
    }
}

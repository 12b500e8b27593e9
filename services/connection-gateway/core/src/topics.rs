//! Which topics a session may use: the contract's topic table as a trie, and a product's own topic classes.
//!
//! A rule's pattern has levels `{pk}` and `{dn}` (the session's own), `+` (one level) and a last `#` (one level or more);
//! the rest is literal. One walk serves three questions; the first rule of the table that fits decides each:
//!
//! - publish: the first `up` rule that matches this topic;
//! - subscribe: the first `down` rule that *contains* this filter, so that it matches nothing the rule does not;
//! - automatic delivery: whether the first `down` rule that matches this topic is `auto`.
//!
//! A filter's own wildcards only pass where the rule has a wildcard as wide: `+` under `+` or `#`, `#` under `#`. Since no
//! literal level is ever `+` or `#`, comparing levels is enough. A rule whose `ext` the session lacks is not there.

use std::collections::HashMap;

/// Bound on any topic or filter, in bytes; system topics with long names exceed the contract's 128.
pub const MAX_TOPIC_BYTES: usize = 256;
/// Bounds on custom topics (reference §1.4).
pub const MAX_CUSTOM_BYTES: usize = 128;
pub const MAX_CUSTOM_SLASHES: usize = 7;
/// Streams that are not bus streams.
pub const LOCAL: i32 = -1;
pub const NO_OWNER: i32 = -2;

#[derive(Clone, Debug)]
pub struct Rule {
    pub pattern: String,
    pub up: bool,
    pub down: bool,
    pub stream: i32,
    pub category: String,
    pub auto: bool,
    pub classes: bool,
    pub ext: u32,
}

/// Whose topics: the names that `{pk}` and `{dn}` stand for, and the flags the session was accepted with.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    pub product_key: &'a str,
    pub device_name: &'a str,
    pub ext: u32,
}

#[derive(Default)]
struct Node {
    literals: HashMap<Box<str>, u32>,
    product_key: Option<u32>,
    device_name: Option<u32>,
    any: Option<u32>,
    /// Rules whose pattern ends here.
    here: Vec<u16>,
    /// Rules whose pattern ends here with `#`.
    rest: Vec<u16>,
}

#[derive(Default)]
pub struct Table {
    nodes: Vec<Node>,
    pub rules: Vec<Rule>,
    /// Levels before the part that a product's classes decide, for rules with `classes`.
    class_levels: Vec<usize>,
    /// Last level at which a rule has `{dn}`.
    name_level: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    Up,
    Down,
}

impl Table {
    /// Compiles the rules. Errors name the pattern that is not one.
    pub fn new(rules: Vec<Rule>) -> Result<Table, String> {
        if rules.len() > usize::from(u16::MAX) {
            return Err("more than 65,535 topic rules".into());
        }
        let mut table = Table { nodes: vec![Node::default()], ..Table::default() };
        for (index, rule) in rules.iter().enumerate() {
            table.insert(&rule.pattern, index as u16)?;
            let level = |name: &str| rule.pattern.split('/').position(|level| level == name);
            table.class_levels.push(level("user").map(|at| at + 1).or_else(|| level("#")).unwrap_or(0));
            table.name_level = table.name_level.max(level("{dn}").unwrap_or(0));
        }
        table.rules = rules;
        Ok(table)
    }

    fn insert(&mut self, pattern: &str, rule: u16) -> Result<(), String> {
        let mut node = 0usize;
        let mut levels = pattern.split('/').peekable();
        while let Some(level) = levels.next() {
            if level == "#" {
                if levels.peek().is_some() {
                    return Err(format!("`#` is not the last level of {pattern}"));
                }
                self.nodes[node].rest.push(rule);
                return Ok(());
            }
            let known = match level {
                "{pk}" => self.nodes[node].product_key,
                "{dn}" => self.nodes[node].device_name,
                "+" => self.nodes[node].any,
                _ if level.contains(['+', '#', '{', '}']) => return Err(format!("level `{level}` of {pattern}")),
                _ => self.nodes[node].literals.get(level).copied(),
            };
            node = known.unwrap_or_else(|| self.child(node, level)) as usize;
        }
        self.nodes[node].here.push(rule);
        Ok(())
    }

    fn child(&mut self, node: usize, level: &str) -> u32 {
        let child = self.nodes.len() as u32;
        self.nodes.push(Node::default());
        let node = &mut self.nodes[node];
        match level {
            "{pk}" => node.product_key = Some(child),
            "{dn}" => node.device_name = Some(child),
            "+" => node.any = Some(child),
            _ => drop(node.literals.insert(level.into(), child)),
        }
        child
    }

    /// The rule under which the owner may publish to `topic`, if its product's classes agree.
    pub fn publish(&self, topic: &str, owner: Owner<'_>, classes: &Classes) -> Option<&Rule> {
        let index = self.find(0, Some(topic), owner, Use::Up)?;
        let custom = self.custom_part(index, topic)?;
        custom.is_none_or(|rest| classes.publish.allows(rest)).then(|| &self.rules[index])
    }

    /// Whether the owner may subscribe to `filter`.
    pub fn subscribe(&self, filter: &str, owner: Owner<'_>, classes: &Classes) -> bool {
        if !is_filter(filter) || filter.len() > MAX_TOPIC_BYTES {
            return false;
        }
        let Some(index) = self.find(0, Some(filter), owner, Use::Down) else { return false };
        let Some(custom) = self.custom_part(index, filter) else { return false };
        custom.is_none_or(|rest| classes.subscribe.allows(rest))
    }

    /// The device that might publish to `topic`, as far as the table alone can say: classes are taken as permitting. Only
    /// devices named by two neighbouring levels, and not those that are `known`.
    pub fn foreigner<'t>(
        &self,
        topic: &'t str,
        ext: u32,
        known: impl Fn(&str, &str) -> bool,
    ) -> Option<(&'t str, &'t str)> {
        if topic.len() > MAX_TOPIC_BYTES {
            return None;
        }
        let might_publish = |&(product_key, device_name): &(&str, &str)| {
            if product_key.is_empty() || device_name.is_empty() || known(product_key, device_name) {
                return false;
            }
            let rule = self.find(0, Some(topic), Owner { product_key, device_name, ext }, Use::Up);
            rule.is_some_and(|index| {
                self.rules[index].pattern.contains("{dn}") && self.custom_part(index, topic).is_some()
            })
        };
        pairs(topic).take(self.name_level).find(might_publish)
    }

    /// Whether `topic` is delivered without a subscription.
    pub fn automatic(&self, topic: &str, owner: Owner<'_>) -> bool {
        self.find(0, Some(topic), owner, Use::Down).is_some_and(|index| self.rules[index].auto)
    }

    /// Whether a filter touches any automatic topic, so that its UNSUBSCRIBE must be remembered.
    pub fn touches_automatic(&self, filter: &str, owner: Owner<'_>) -> bool {
        let rules = self.rules.iter().filter(|rule| rule.auto);
        rules.into_iter().any(|rule| overlaps(&rule.pattern, filter, owner))
    }

    /// `None`: the topic breaks the bounds. `Some(None)`: not custom. Else the levels that classes decide.
    fn custom_part<'t>(&self, rule: usize, topic: &'t str) -> Option<Option<&'t str>> {
        if topic.len() > MAX_TOPIC_BYTES {
            return None;
        }
        if !self.rules[rule].classes {
            return Some(None);
        }
        let slashes = topic.bytes().filter(|&byte| byte == b'/').count();
        if topic.len() > MAX_CUSTOM_BYTES || slashes > MAX_CUSTOM_SLASHES {
            return None;
        }
        let mut rest = topic;
        for _ in 0..self.class_levels[rule] {
            rest = rest.split_once('/')?.1;
        }
        Some(Some(rest))
    }

    fn find(&self, node: u32, rest: Option<&str>, owner: Owner<'_>, usage: Use) -> Option<usize> {
        let node = &self.nodes[node as usize];
        let Some(rest) = rest else { return self.pick(&node.here, owner, usage) };
        let (level, after) = match rest.split_once('/') {
            Some((level, after)) => (level, Some(after)),
            None => (rest, None),
        };
        let children = [
            node.literals.get(level).copied(),
            node.product_key.filter(|_| level == owner.product_key),
            node.device_name.filter(|_| level == owner.device_name),
            node.any.filter(|_| level != "#"),
        ];
        let below = children.into_iter().flatten().filter_map(|child| self.find(child, after, owner, usage));
        below.chain(self.pick(&node.rest, owner, usage)).min()
    }

    fn pick(&self, rules: &[u16], owner: Owner<'_>, usage: Use) -> Option<usize> {
        let fits = |&&index: &&u16| {
            let rule = &self.rules[usize::from(index)];
            let used = match usage {
                Use::Up => rule.up,
                Use::Down => rule.down,
            };
            used && owner.ext & rule.ext == rule.ext
        };
        rules.iter().find(fits).map(|&index| usize::from(index))
    }
}

/// Whether `+` and `#` stand where they may (4.7.1).
pub fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let wild = level.contains(['+', '#']);
        if wild && (level.len() > 1 || (level == "#" && levels.peek().is_some())) {
            return false;
        }
    }
    !filter.is_empty()
}

/// Whether `filter` (MQTT, without the exception for `$`) matches `topic`, or contains it when that is a filter too.
/// A last `#` stands for one level or more, or, as in MQTT, for none (`parent`).
pub fn matches(filter: &str, topic: &str, parent: bool) -> bool {
    let (mut filter, mut topic) = (Some(filter), Some(topic));
    loop {
        let (Some(left), Some(right)) = (filter, topic) else {
            return filter == topic || (parent && topic.is_none() && filter == Some("#"));
        };
        let (level, left) = first(left);
        let (actual, right) = first(right);
        if level == "#" {
            return true;
        }
        if level != actual && (level != "+" || actual == "#") {
            return false;
        }
        (filter, topic) = (left, right);
    }
}

/// Each two neighbouring levels of a topic or filter: what may be a product key and a device name.
pub fn pairs(topic: &str) -> impl Iterator<Item = (&str, &str)> {
    topic.split('/').zip(topic.split('/').skip(1))
}

fn first(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((level, rest)) => (level, Some(rest)),
        None => (text, None),
    }
}

/// Whether some topic matches both the rule's pattern and the filter.
fn overlaps(pattern: &str, filter: &str, owner: Owner<'_>) -> bool {
    let (mut pattern, mut filter) = (pattern.split('/'), filter.split('/'));
    loop {
        match (pattern.next(), filter.next()) {
            (None, None) => return true,
            (Some("#"), Some(_)) | (_, Some("#")) => return true,
            (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
            (Some("{pk}"), Some(level)) if level == owner.product_key => {}
            (Some("{dn}"), Some(level)) if level == owner.device_name => {}
            (Some(left), Some(right)) if left == right => {}
            _ => return false,
        }
    }
}

/// Filters of one direction: literal ones by hash, the others one by one.
#[derive(Default)]
pub struct ClassSet {
    literal: std::collections::HashSet<Box<str>>,
    wild: Vec<Box<str>>,
}

impl ClassSet {
    fn add(&mut self, filter: &str) {
        if filter.contains(['+', '#']) {
            self.wild.push(filter.into());
        } else {
            self.literal.insert(filter.into());
        }
    }

    fn allows(&self, rest: &str) -> bool {
        self.literal.contains(rest) || self.wild.iter().any(|filter| matches(filter, rest, false))
    }
}

/// A product's topic classes, below `/{pk}/{dn}/user/`.
#[derive(Default)]
pub struct Classes {
    pub publish: ClassSet,
    pub subscribe: ClassSet,
}

impl Classes {
    /// Rows of (filter, publish, subscribe).
    pub fn new(rows: &[(String, bool, bool)]) -> Result<Classes, String> {
        let mut classes = Classes::default();
        for (filter, publish, subscribe) in rows {
            if !is_filter(filter) {
                return Err(format!("`{filter}` is not a topic filter"));
            }
            if *publish {
                classes.publish.add(filter);
            }
            if *subscribe {
                classes.subscribe.add(filter);
            }
        }
        Ok(classes)
    }
}

//! Permission by table and property: a device reaches its own topics and no other's.

use proptest::prelude::*;
use thinghub_gateway_core::topics::{Classes, NO_OWNER, Owner, Rule, Table, is_filter, matches};

fn rule(pattern: &str, up: bool, down: bool, auto: bool, classes: bool, ext: u32) -> Rule {
    Rule { pattern: pattern.into(), up, down, stream: NO_OWNER, category: pattern.into(), auto, classes, ext }
}

fn table() -> Table {
    let rules = vec![
        rule("/sys/{pk}/{dn}/thing/event/property/post", true, false, false, false, 0),
        rule("/sys/{pk}/{dn}/thing/event/+/post", true, false, false, false, 0),
        rule("/sys/{pk}/{dn}/rrpc/request/+", false, true, true, false, 0),
        rule("/ext/rrpc/#", true, true, true, false, 1),
        rule("/{pk}/{dn}/user/#", true, true, false, true, 0),
        rule("/sys/{pk}/{dn}/#", false, true, false, false, 0),
        rule("/broadcast/{pk}/+", false, true, false, false, 0),
    ];
    Table::new(rules).expect("a table")
}

fn classes() -> Classes {
    let rows = [("update", true, false), ("get/+", false, true), ("log/#", true, true)];
    Classes::new(&rows.map(|(filter, publish, subscribe)| (filter.to_owned(), publish, subscribe))).expect("classes")
}

const OWNER: Owner<'static> = Owner { product_key: "pk", device_name: "dn", ext: 0 };

#[test]
fn publish_is_decided_by_the_first_rule_that_matches() {
    let (table, classes) = (table(), classes());
    let category = |topic| table.publish(topic, OWNER, &classes).map(|rule| rule.category.as_str());
    assert_eq!(category("/sys/pk/dn/thing/event/property/post"), Some("/sys/{pk}/{dn}/thing/event/property/post"));
    assert_eq!(category("/sys/pk/dn/thing/event/alarm/post"), Some("/sys/{pk}/{dn}/thing/event/+/post"));
    for (topic, allowed) in [
        ("/pk/dn/user/update", true),
        ("/pk/dn/user/log/a/b", true),
        ("/pk/dn/user/log", false),
        ("/pk/dn/user/log/a/b/c/d", false),
        ("/pk/dn/user/get/a", false),
        ("/pk/dn/user/update/", false),
        ("/pk/dn/user/", false),
        ("/pk/dn/user", false),
        ("/pk/dn2/user/update", false),
        ("pk/dn/user/update", false),
        ("/sys/pk/dn/rrpc/request/1", false),
        ("/ext/rrpc/1/x", false),
        ("", false),
    ] {
        assert_eq!(category(topic).is_some(), allowed, "{topic}");
    }
    assert!(table.publish("/ext/rrpc/1/x", Owner { ext: 3, ..OWNER }, &classes).is_some());
}

#[test]
fn a_foreign_topic_names_the_device_that_might_publish_there() {
    let table = table();
    for (topic, device) in [
        ("/pk/other/user/update", Some(("pk", "other"))),
        ("/pk/other/user/unknown", Some(("pk", "other"))),
        ("/p2/dn/user/update", Some(("p2", "dn"))),
        ("/sys/pk/other/thing/event/alarm/post", Some(("pk", "other"))),
        ("/sys/pk/other/thing/event", None),
        ("/sys/pk/other/rrpc/request/1", None),
        ("/pk/dn/user/unknown", None),
        ("/ext/rrpc/1/pk/other", None),
        ("/broadcast/pk/x", None),
        ("//other/user/update", None),
        ("///user/update", None),
        ("/pk/other/user/a/b/c/d/e", None),
        ("nonsense", None),
        ("", None),
    ] {
        for ext in [0, 1] {
            let found =
                table.foreigner(topic, ext, |product_key, device_name| (product_key, device_name) == ("pk", "dn"));
            assert_eq!(found, device, "{topic}");
        }
    }
    let long = format!("/pk/other/user/{}", "x/".repeat(200));
    assert_eq!(table.foreigner(&long, 0, |_, _| false), None);
}

#[test]
fn names_that_look_like_levels_are_only_names() {
    let (table, classes) = (table(), classes());
    let owner = Owner { product_key: "sys", device_name: "user", ext: 0 };
    assert!(table.publish("/sys/user/user/update", owner, &classes).is_some());
    assert!(table.publish("/sys/sys/user/thing/event/x/post", owner, &classes).is_some());
    assert!(table.publish("/sys/other/user/update", owner, &classes).is_none());
}

#[test]
fn a_table_without_rules_permits_nothing() {
    let table = Table::new(Vec::new()).expect("a table");
    assert!(table.publish("/a", OWNER, &classes()).is_none());
    assert!(!table.subscribe("#", OWNER, &classes()));
}

#[test]
fn filters_match_as_mqtt_says() {
    for (filter, topic, expected) in [
        ("a/+/c", "a/b/c", true),
        ("a/+/c", "a/b/d", false),
        ("a/#", "a/b/c", true),
        ("a/#", "a", true),
        ("#", "a/b", true),
        ("+", "a/b", false),
        ("a/+", "a/", true),
        ("a/b", "a/b/", false),
        ("/+", "a", false),
    ] {
        assert_eq!(matches(filter, topic, true), expected, "{filter} {topic}");
    }
    assert!(!matches("a/#", "a", false));
    assert!(["#", "+", "a/+/#", "/"].into_iter().all(is_filter));
    assert!(!["", "a#", "a/#/b", "+a", "##"].into_iter().any(is_filter));
}

#[test]
fn unsubscribing_what_covers_an_automatic_topic_touches_it() {
    let table = table();
    for (filter, touches) in [
        ("/sys/pk/dn/rrpc/request/+", true),
        ("/sys/pk/dn/rrpc/request/7", true),
        ("/sys/+/dn/#", true),
        ("#", true),
        ("/sys/pk/dn/rrpc/response/+", false),
        ("/sys/pk/other/rrpc/request/+", false),
        ("/pk/dn/user/get", false),
    ] {
        assert_eq!(table.touches_automatic(filter, OWNER), touches, "{filter}");
    }
}

fn level() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("sys".to_owned()),
        Just("pk".to_owned()),
        Just("dn".to_owned()),
        Just("other".to_owned()),
        Just("user".to_owned()),
        Just("rrpc".to_owned()),
        Just("request".to_owned()),
        Just("log".to_owned()),
        Just(String::new()),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    let wild = prop_oneof![4 => level(), 1 => Just("+".to_owned()), 1 => Just("#".to_owned())];
    proptest::collection::vec(wild, 1..7).prop_map(|levels| levels.join("/"))
}

fn topic() -> impl Strategy<Value = String> {
    proptest::collection::vec(level(), 1..7).prop_map(|levels| levels.join("/"))
}

proptest! {
    #[test]
    fn a_granted_filter_matches_only_topics_of_the_device(filter in filter(), topic in topic()) {
        let granted = table().subscribe(&filter, OWNER, &classes());
        if granted && matches(&filter, &topic, false) {
            let own = ["/sys/pk/dn/", "/pk/dn/user/", "/broadcast/pk/"];
            prop_assert!(own.iter().any(|prefix| topic.starts_with(prefix)), "{} {}", filter, topic);
        }
    }

    #[test]
    fn publish_is_never_permitted_outside_the_device(topic in topic()) {
        if table().publish(&topic, OWNER, &classes()).is_some() {
            prop_assert!(topic.starts_with("/sys/pk/dn/") || topic.starts_with("/pk/dn/user/"), "{}", topic);
        }
    }

    #[test]
    fn a_topic_granted_as_a_filter_is_covered_by_a_wider_grant(topic in topic()) {
        if table().subscribe(&topic, OWNER, &classes()) && topic.starts_with("/sys/") {
            prop_assert!(matches("/sys/pk/dn/#", &topic, true));
        }
    }
}

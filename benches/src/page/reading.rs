//! A page or a drawing as a browser reads it, for tests.

use html5gum::{Token, Tokenizer};

/// All text, and all values of attributes with element and name. Fails on anything that is not well formed.
pub(crate) fn read(page: &str) -> (String, Vec<(String, String, String)>) {
    let (mut text, mut attributes, mut open) = (String::new(), Vec::new(), Vec::new());
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    for token in Tokenizer::new(page) {
        match token.unwrap() {
            Token::StartTag(tag) => {
                let name = utf8(&tag.name);
                for (key, value) in &tag.attributes {
                    attributes.push((name.clone(), utf8(key), utf8(value)));
                }
                if name != "meta" && !tag.self_closing {
                    open.push(name);
                }
            }
            Token::EndTag(tag) => assert_eq!(open.pop(), Some(utf8(&tag.name)), "tags are nested"),
            Token::String(string) => text += &utf8(&string),
            Token::Error(error) => panic!("{error:?}"),
            Token::Doctype(doctype) => assert_eq!(utf8(&doctype.name), "html"),
            Token::Comment(comment) => panic!("a comment: {comment:?}"),
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    (text, attributes)
}

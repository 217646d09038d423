//! A text as tokens: counted, and with the forms of Airlane written as the parser knows them.

use airlane_model::{Error, Result, codes};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace, Word};

use crate::limits::{NESTING_MAX, OPERATORS_MAX, TEXT_BYTES_MAX};

/// The tokens of a statement.
///
/// # Errors
/// `statement_too_large`; `sql_invalid` with the place.
pub(super) fn of(text: &str) -> Result<Vec<TokenWithSpan>> {
    if text.len() > TEXT_BYTES_MAX.as_usize() {
        let message = format!("the statement has {} bytes, the most is {}", text.len(), TEXT_BYTES_MAX.as_u64());
        return Err(
            Error::new(codes::STATEMENT_TOO_LARGE, message).hint("put long lists of values as a table, and join it")
        );
    }
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location();
    let tokens = tokens.map_err(|fault| {
        let place = format!("line {}, column {}", fault.location.line, fault.location.column);
        Error::new(codes::SQL_INVALID, fault.message).at(place).hint("correct the statement there")
    })?;
    weigh(&tokens)?;
    Ok(numbered(versioned(tokens)))
}

fn weigh(tokens: &[TokenWithSpan]) -> Result<()> {
    let (mut operators, mut nesting) = (0, 0_usize);
    for TokenWithSpan { token, span } in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => nesting += 1,
            Token::RParen | Token::RBracket | Token::RBrace => nesting = nesting.saturating_sub(1),
            token if is_operator(token) => operators += 1,
            _ => {}
        }
        let too_much = match () {
            () if nesting > NESTING_MAX => format!("parentheses are nested deeper than {NESTING_MAX}"),
            () if operators > OPERATORS_MAX => format!("the statement has more than {OPERATORS_MAX} operators"),
            () => continue,
        };
        let place = format!("line {}, column {}", span.start.line, span.start.column);
        return Err(Error::new(codes::STATEMENT_TOO_LARGE, too_much)
            .at(place)
            .hint("use IN for many values, or put them as a table and join it"));
    }
    Ok(())
}

/// Whether a token joins two expressions, so that a chain of it nests.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) if word.quote_style.is_none() => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::XOR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::JOIN
                | Keyword::WHEN
                | Keyword::SELECT
                | Keyword::COLLATE
                | Keyword::DIV
                | Keyword::AT
        ),
        Token::Word(_)
        | Token::Number(..)
        | Token::Comma
        | Token::Whitespace(_)
        | Token::Period
        | Token::SemiColon
        | Token::EOF
        | Token::Placeholder(_)
        | Token::SingleQuotedString(_) => false,
        // Everything else that is written in signs.
        other => !matches!(other, Token::LParen | Token::RParen | Token::NationalStringLiteral(_)),
    }
}

/// `prices VERSION AS OF 7` becomes `"prices@7"`.
fn versioned(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    let mut rest: Vec<TokenWithSpan> = Vec::new();
    while let Some(token) = tokens.next() {
        if !is_keyword(&token.token, Keyword::VERSION) {
            out.push(token);
            continue;
        }
        rest.clear();
        rest.push(token);
        let mut wanted = [Keyword::AS, Keyword::OF].into_iter();
        let mut version = None;
        while version.is_none() {
            let Some(next) = tokens.next_if(|next| match (&next.token, wanted.clone().next()) {
                (Token::Whitespace(_), _) => true,
                (token, Some(keyword)) => is_keyword(token, keyword),
                (Token::Number(_, false), None) => true,
                _ => false,
            }) else {
                break;
            };
            match &next.token {
                Token::Whitespace(_) => {}
                Token::Number(digits, _) => version = Some(digits.clone()),
                _ => {
                    wanted.next();
                }
            }
            rest.push(next);
        }
        let named = out.iter_mut().rev().find(|token| !matches!(token.token, Token::Whitespace(_)));
        match (version, named) {
            (Some(version), Some(TokenWithSpan { token: Token::Word(word), .. })) if is_name(word) => {
                let name = if word.quote_style.is_some() { word.value.clone() } else { word.value.to_lowercase() };
                *word =
                    Word { value: format!("{name}@{version}"), quote_style: Some('"'), keyword: Keyword::NoKeyword };
                // What follows is not to run into it.
                out.push(TokenWithSpan::wrap(Token::Whitespace(Whitespace::Space)));
            }
            _ => out.append(&mut rest),
        }
    }
    out
}

fn is_keyword(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.keyword == keyword)
}

/// Whether a word can be the name of a table: in `FROM VERSION AS OF 7` none is.
fn is_name(word: &Word) -> bool {
    word.quote_style.is_some() || !matches!(word.keyword, Keyword::FROM | Keyword::JOIN | Keyword::SELECT)
}

/// Placeholders without a number get that of their place: `?` becomes `$1`, `$2` ….
fn numbered(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut number = 0;
    for TokenWithSpan { token, .. } in &mut tokens {
        if matches!(token, Token::Placeholder(text) if text == "?") {
            number += 1;
            *token = Token::Placeholder(format!("${number}"));
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        of(text).expect(text).iter().map(|token| token.token.to_string()).collect()
    }

    #[test]
    fn versions_and_placeholders_are_written_as_the_parser_knows_them() {
        for (text, expected) in [
            ("SELECT * FROM Prices VERSION AS OF 7 p", "SELECT * FROM \"prices@7\"   p"),
            ("SELECT * FROM eu.\"Fx\"\nVERSION  AS OF 12", "SELECT * FROM eu.\"Fx@12\"\n "),
            ("SELECT version AS of7 FROM t", "SELECT version AS of7 FROM t"),
            ("SELECT version AS x", "SELECT version AS x"),
            ("SELECT VERSION AS OF 7", "SELECT VERSION AS OF 7"),
            ("SELECT ? + ? + 'x?'", "SELECT $1 + $2 + 'x?'"),
            ("SELECT $2, $1", "SELECT $2, $1"),
        ] {
            assert_eq!(rewritten(text), expected);
        }
    }

    #[test]
    fn q2_long_chains_and_deep_nests_are_refused_before_they_are_parsed() {
        let chain = |operator: &str, count: usize| format!("SELECT 1{}", format!("{operator}1").repeat(count));
        for text in [
            chain("+", 2_001),
            chain(" OR ", 2_001),
            chain("||", 2_001),
            format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
            format!("SELECT {}1", "- ".repeat(3_000)),
            format!("SELECT {}1", "NOT ".repeat(3_000)),
            format!("SELECT {}", "x".repeat(65_536)),
            format!("SELECT 1{}", " UNION SELECT 1".repeat(1_500)),
            format!("SELECT {}", "[".repeat(5_000)),
        ] {
            assert_eq!(of(&text).expect_err("too large").code(), codes::STATEMENT_TOO_LARGE, "{}", &text[..20]);
        }
        assert!(of(&chain("+", 1_999)).is_ok());
        let list = vec!["1"; 20_000].join(",");
        assert!(of(&format!("SELECT 1 IN ({list})")).is_ok());
    }
}

import { describe, expect, test } from 'vitest'
import { classify, isAnswer } from '../../../src/drivers/mysql-failures.ts'
import { effectOf, splitStatements } from '../../../src/drivers/mysql-statements.ts'
import { bindValues } from '../../../src/drivers/mysql-values.ts'

describe('what a statement does to the transaction', () => {
  test.each([
    ['COMMIT', 'control'],
    ['  -- a comment\n begin', 'control'],
    ['# a comment\nROLLBACK', 'control'],
    ['ROLLBACK TO s', 'none'],
    ['rollback work to savepoint s', 'none'],
    ['START TRANSACTION WITH CONSISTENT SNAPSHOT', 'control'],
    ['START REPLICA', 'commit'],
    ['XA COMMIT "x"', 'control'],
    ['SET @a = 1, @@session.autocommit = 0', 'control'],
    ["SET @a = 'autocommit'", 'none'],
    ['/*!40101 */ COMMIT', 'control'],
    ['/*!50000 COMMIT */', 'control'],
    ['/*M!100100 COMMIT */', 'control'],
    ['/* COMMIT */ SELECT 1', 'none'],
    ["SELECT 'a; COMMIT'; SELECT `; COMMIT`", 'none'],
    [String.raw`SELECT 'it\'s; COMMIT'`, 'none'],
    ['SELECT 1; COMMIT', 'control'],
    ['CREATE TABLE t (id int)', 'commit'],
    ['CREATE TEMPORARY TABLE t (id int)', 'none'],
    ['CREATE OR REPLACE TEMPORARY TABLE t (id int)', 'none'],
    ['DROP TEMPORARY TABLE t', 'none'],
    ['ALTER TABLE t ADD COLUMN c int', 'commit'],
    ['ANALYZE LOCAL TABLE t', 'commit'],
    ['ANALYZE SELECT 1', 'none'],
    ["LOAD DATA INFILE 'f' INTO TABLE t", 'none'],
    ["SET PASSWORD = 'x'", 'commit'],
    ['SELECT commit FROM begin_', 'none'],
    ['WITH a AS (SELECT 1) SELECT 1', 'none'],
    ['', 'none'],
  ])('%j: %s', (sql, effect) => {
    expect(effectOf(sql)).toBe(effect)
    expect(effectOf(`${sql};`)).toBe(effect)
  })
})

test('a script is split where a statement ends, and nowhere else', () => {
  const script = `
    -- one; not a statement
    CREATE TABLE a (s varchar(9) DEFAULT ';' COMMENT "a;b", \`c;d\` int) ; # two;
    /* three; */ INSERT INTO a VALUES ('it''s;', '\\';', 5--3);
    ;; SELECT 1 -- four`
  expect(splitStatements(script).map((one) => one.replaceAll(/\s+/g, ' '))).toEqual([
    `-- one; not a statement CREATE TABLE a (s varchar(9) DEFAULT ';' COMMENT "a;b", \`c;d\` int)`,
    `# two; /* three; */ INSERT INTO a VALUES ('it''s;', '\\';', 5--3)`,
    'SELECT 1 -- four',
  ])
  expect(splitStatements('-- nothing\n;')).toEqual([])
})

describe('values', () => {
  const bound = (
    value: string | number | bigint | null | Uint8Array,
    mode: 'escape' | 'plain' | 'unknown' = 'escape',
  ) => bindValues('? ', [value], mode)

  test('are written so that they mean the same for the database', () => {
    expect(bindValues("SELECT '?', ? -- ?\n, `?`, ?", [1, null], 'escape')).toBe("SELECT '?', 1 -- ?\n, `?`, NULL")
    expect([bound(-1), bound(0.1), bound(1e300), bound(2n ** 63n)]).toEqual([
      '-1 ',
      '0.1e0 ',
      '1e+300 ',
      '9223372036854775808 ',
    ])
    expect(bound(new Uint8Array([1, 2, 255, 0]).subarray(1, 3))).toBe("x'02ff' ")
    expect([bound(''), bound("it's")]).toEqual(["'' ", "'it''s' "])
  })

  test('have their backslashes as the session reads them', () => {
    const text = String.raw`\' OR 1`
    expect(bound(text, 'escape')).toBe(String.raw`'\\'' OR 1' `)
    expect(bound(text, 'plain')).toBe(String.raw`'\'' OR 1' `)
    expect(bound(text, 'unknown')).toBe(`_utf8mb4 x'${Buffer.from(text).toString('hex')}' `)
    // A replacement pattern of JavaScript is nothing special.
    expect(bound("$& $' $1")).toBe("'$& $'' $1' ")
  })
})

describe('failures', () => {
  const ofServer = (errno: number, text = 'text') => Object.assign(new Error(text), { errno, sqlState: 'HY000' })

  test.each([
    [1205, 'busy'],
    [1213, 'conflict'],
    [1020, 'conflict'],
    [1114, 'full'],
    [1021, 'full'],
    [1290, 'unavailable'],
    [1836, 'unavailable'],
    [1792, 'unavailable'],
    [1053, 'unavailable'],
    [1062, 'other'],
    [1064, 'other'],
  ])('%i is %s', (errno, kind) => {
    expect(classify(ofServer(errno))).toBe(kind)
    expect(classify(new Error('wrapped', { cause: ofServer(errno) }))).toBe(kind)
  })

  test('an error of the storage engine is full where the disk is', () => {
    expect(classify(ofServer(1030, 'Got error 28 "No space left on device" from storage engine InnoDB'))).toBe('full')
    expect(classify(ofServer(1030, 'Got error 128 "Out of memory in engine" from storage engine InnoDB'))).toBe(
      'unavailable',
    )
  })

  test('the errors of sockets have numbers of their own', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { errno: -111, code: 'ECONNREFUSED' })
    expect([classify(refused), isAnswer(refused)]).toEqual(['unavailable', false])
    // Answered, and nothing is under way any more.
    expect([isAnswer(ofServer(1290)), isAnswer(ofServer(1062)), isAnswer(ofServer(1053))]).toEqual([true, true, false])
  })
})

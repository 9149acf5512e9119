// SPDX-License-Identifier: Apache-2.0
import Testing

@Suite("The table of a node's side of a line, cell by cell")
struct RequestorTableTests {
    /// State, event, the state after it, and what was sent and answered. S*: shared, and this node wrote last. Of a
    /// pinned line (SM, MW) no eviction is ever asked for.
    private static let table = """
        I             | read                 | IS              | read
        I             | write                | IM              | write from I
        I             | silent               | IM              | write from I
        I             | evict                | I               |
        I             | invalidate           | I               | ack
        I             | recall               | I               | ack
        I             | recallToShared       | I               | ack
        I             | recallToSharedNewer  | I               | ack
        I             | data                 | I               |
        I             | written              | I               |
        I             | writtenNothing       | I               |
        I             | putDone              | I               |
        I             | dataGrantedBefore    | I               |
        I             | writtenGrantedBefore | I               |
        I             | synchronise          | I               | synchronised

        S             | read                 | S               | answer: read 1
        S             | write                | IM              | write from I
        S             | silent               | IM              | write from I
        S             | evict                | I               | hint
        S             | invalidate           | I               | ack
        S             | recall               | I               | ack
        S             | recallToShared       | S               | ack, kept
        S             | recallToSharedNewer  | I               | ack
        S             | data                 | S               |
        S             | written              | S               |
        S             | writtenNothing       | S               |
        S             | putDone              | S               |
        S             | dataGrantedBefore    | S               |
        S             | writtenGrantedBefore | S               |
        S             | synchronise          | I               | synchronised

        S*            | read                 | S               | answer: read 7
        S*            | write                | SM              | write from S
        S*            | silent               | SM              | write from S
        S*            | evict                | I               | hint
        S*            | invalidate           | I               | ack
        S*            | recall               | I               | ack
        S*            | recallToShared       | S               | ack, kept
        S*            | recallToSharedNewer  | I               | ack
        S*            | data                 | S               |
        S*            | written              | S               |
        S*            | writtenNothing       | S               |
        S*            | putDone              | S               |
        S*            | dataGrantedBefore    | S               |
        S*            | writtenGrantedBefore | S               |
        S*            | synchronise          | I               | synchronised

        E             | read                 | E               | answer: read 1
        E             | write                | MW              | write from M
        E             | silent               | MW              | write from M
        E             | evict                | I               | hint
        E             | invalidate           | I               | ack
        E             | recall               | I               | ack
        E             | recallToShared       | S               | ack, kept
        E             | recallToSharedNewer  | I               | ack
        E             | data                 | E               |
        E             | written              | E               |
        E             | writtenNothing       | E               |
        E             | putDone              | E               |
        E             | dataGrantedBefore    | E               |
        E             | writtenGrantedBefore | E               |
        E             | synchronise          | I               | synchronised

        M             | read                 | M               | answer: read 7
        M             | write                | MW              | write from M
        M             | silent               | MW              | write from M
        M             | evict                | I               | hint
        M             | invalidate           | I               | ack
        M             | recall               | I               | ack
        M             | recallToShared       | S               | ack, kept
        M             | recallToSharedNewer  | I               | ack
        M             | data                 | M               |
        M             | written              | M               |
        M             | writtenNothing       | M               |
        M             | putDone              | M               |
        M             | dataGrantedBefore    | M               |
        M             | writtenGrantedBefore | M               |
        M             | synchronise          | I               | synchronised

        M, not logged | read                 | M, not logged   | answer: read 7
        M, not logged | write                | MW              | write from M
        M, not logged | silent               | M, not logged   | answer: done
        M, not logged | evict                | MI_A            | put to evict
        M, not logged | invalidate           | MI_A            | ack with data
        M, not logged | recall               | MI_A            | ack with data
        M, not logged | recallToShared       | S, keeping data | ack with data, kept
        M, not logged | recallToSharedNewer  | MI_A            | ack with data
        M, not logged | data                 | M, not logged   |
        M, not logged | written              | M, not logged   |
        M, not logged | writtenNothing       | M, not logged   |
        M, not logged | putDone              | M, not logged   |
        M, not logged | dataGrantedBefore    | M, not logged   |
        M, not logged | writtenGrantedBefore | M, not logged   |
        M, not logged | synchronise          | MI_A            | put to restore; synchronised

        IS            | read                 | IS              |
        IS            | write                | IS              |
        IS            | silent               | IS              |
        IS            | evict                | IS              |
        IS            | invalidate           | IS_I            | ack
        IS            | recall               | IS_I            | ack
        IS            | recallToShared       | IS_I            | ack
        IS            | recallToSharedNewer  | IS_I            | ack
        IS            | data                 | S               | answer: read 2
        IS            | written              | IS              |
        IS            | writtenNothing       | IS              |
        IS            | putDone              | IS              |
        IS            | dataGrantedBefore    | S               | answer: read 2
        IS            | writtenGrantedBefore | IS              |
        IS            | synchronise          | IS              | synchronised; read

        IS_I          | read                 | IS_I            |
        IS_I          | write                | IS_I            |
        IS_I          | silent               | IS_I            |
        IS_I          | evict                | IS_I            |
        IS_I          | invalidate           | IS_I            | ack
        IS_I          | recall               | IS_I            | ack
        IS_I          | recallToShared       | IS_I            | ack
        IS_I          | recallToSharedNewer  | IS_I            | ack
        IS_I          | data                 | S               | answer: read 2
        IS_I          | written              | IS_I            |
        IS_I          | writtenNothing       | IS_I            |
        IS_I          | putDone              | IS_I            |
        IS_I          | dataGrantedBefore    | I               | answer: read 2
        IS_I          | writtenGrantedBefore | IS_I            |
        IS_I          | synchronise          | IS              | synchronised; read

        IM            | read                 | IM              |
        IM            | write                | IM              |
        IM            | silent               | IM              |
        IM            | evict                | IM              |
        IM            | invalidate           | IM              | ack
        IM            | recall               | IM              | ack
        IM            | recallToShared       | IM              | ack
        IM            | recallToSharedNewer  | IM              | ack
        IM            | data                 | IM              |
        IM            | written              | M               | answer: done
        IM            | writtenNothing       | I               | answer: done
        IM            | putDone              | IM              |
        IM            | dataGrantedBefore    | IM              |
        IM            | writtenGrantedBefore | M               | answer: done
        IM            | synchronise          | IM              | synchronised; write from I

        SM            | read                 | SM              | answer: read 7
        SM            | write                | SM              |
        SM            | silent               | SM              |
        SM            | invalidate           | IM              | ack
        SM            | recall               | IM              | ack
        SM            | recallToShared       | SM              | ack, kept
        SM            | recallToSharedNewer  | IM              | ack
        SM            | data                 | SM              |
        SM            | written              | M               | answer: done
        SM            | writtenNothing       | I               | answer: done
        SM            | putDone              | SM              |
        SM            | dataGrantedBefore    | SM              |
        SM            | writtenGrantedBefore | M               | answer: done
        SM            | synchronise          | IM              | synchronised; write from I

        MW            | read                 | MW              | answer: read 7
        MW            | write                | MW              |
        MW            | silent               | MW              |
        MW            | invalidate           | IM              | ack
        MW            | recall               | IM              | ack
        MW            | recallToShared       | SM              | ack, kept
        MW            | recallToSharedNewer  | IM              | ack
        MW            | data                 | MW              |
        MW            | written              | M               | answer: done
        MW            | writtenNothing       | I               | answer: done
        MW            | putDone              | MW              |
        MW            | dataGrantedBefore    | MW              |
        MW            | writtenGrantedBefore | M               | answer: done
        MW            | synchronise          | IM              | synchronised; write from I

        MI_A          | read                 | MI_A            |
        MI_A          | write                | MI_A            |
        MI_A          | silent               | MI_A            |
        MI_A          | evict                | MI_A            |
        MI_A          | invalidate           | MI_A            | ack with data
        MI_A          | recall               | MI_A            | ack with data
        MI_A          | recallToShared       | MI_A            | ack with data
        MI_A          | recallToSharedNewer  | MI_A            | ack with data
        MI_A          | data                 | MI_A            |
        MI_A          | written              | MI_A            |
        MI_A          | writtenNothing       | MI_A            |
        MI_A          | putDone              | I               |
        MI_A          | dataGrantedBefore    | MI_A            |
        MI_A          | writtenGrantedBefore | MI_A            |
        MI_A          | synchronise          | MI_A            | put to restore; synchronised
        """

    @Test("every event in every state")
    func cells() throws {
        let rows = TableText.rows(Self.table, columns: 4)
        for row in rows {
            let state = try #require(RequestorTable.State(rawValue: row[0]))
            let event = try #require(RequestorTable.Event(rawValue: row[1]))
            let table = RequestorTable(state)
            table.carryOut(event)
            #expect(table.state == row[2] && table.output == row[3], "\(row): \(table.state), \(table.output)")
        }
        let pinned = [RequestorTable.State.upgrading, .writingOwned]
        #expect(rows.count == RequestorTable.State.allCases.count * RequestorTable.Event.allCases.count - pinned.count)
        for state in pinned { #expect(RequestorTable(state).isPinned) }
    }

    @Test("a read that comes after an invalidation is not answered by the request from before it, and asks anew")
    func readAfterInvalidation() {
        let table = RequestorTable(.readingInvalidated)
        table.carryOut(.read)
        table.carryOut(.dataGrantedBefore)
        #expect(table.state == "IS" && table.output == "read; answer: read 2")
    }

    @Test("what came while a write was under way is carried out in order after it")
    func queue() {
        let table = RequestorTable(.writing)
        table.carryOut(.read)
        table.carryOut(.write)
        table.carryOut(.written)
        #expect(table.state == "MW" && table.output == "write from M; answer: done; answer: read 7")
    }
}

/// Tables that tests are written as.
enum TableText {
    static func rows(_ text: String, columns: Int) -> [[String]] {
        text.split(separator: "\n").filter { $0.contains("|") }.map { line in
            let cells = line.split(separator: "|", omittingEmptySubsequences: false).map(Self.trimmed)
            return cells + Array(repeating: "", count: max(0, columns - cells.count))
        }
    }

    private static func trimmed(_ cell: Substring) -> String {
        var cell = cell.drop { $0 == " " }
        while cell.last == " " { cell.removeLast() }
        return String(cell)
    }
}

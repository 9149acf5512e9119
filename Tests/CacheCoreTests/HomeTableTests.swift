// SPDX-License-Identifier: Apache-2.0
import Testing

@Suite("The table of a home's side of a line, cell by cell")
struct HomeTableTests {
    /// Who holds the line; what node 1 sends; the line and what the home does at once; the line and what it has done
    /// when everybody has obeyed and the log is applied. Others' values are the numbers of their nodes, 8 and 9 what
    /// owners wrote without the log.
    private static let table = """
        nobody | read | owned by 1 | 3 as E → 1 | owned by 1 |
        nobody | write | busy | log write | nobody | done as I → 1
        nobody | failedWrite | nobody | same as I → 1 | nobody |
        nobody | hint | nobody |  | nobody |
        nobody | oldHint | nobody |  | nobody |
        nobody | put | busy | log data | nobody | put done → 1
        nobody | oldPut | nobody | put too late → 1 | nobody |
        nobody | expire | busy, 1 wait | log expiry | owned by 1 | nothing as E → 1
        nobody | otherEpochsAck | nobody |  | nobody |

        shared by 2, 3 | read | shared by 1, 2, 3 | 3 as S → 1 | shared by 1, 2, 3 |
        shared by 2, 3 | write | busy | invalidate → 2, 3; log write | nobody | done as I → 1
        shared by 2, 3 | failedWrite | shared by 2, 3 | same as I → 1 | shared by 2, 3 |
        shared by 2, 3 | hint | shared by 2, 3 |  | shared by 2, 3 |
        shared by 2, 3 | oldHint | shared by 2, 3 |  | shared by 2, 3 |
        shared by 2, 3 | oldPut | shared by 2, 3 | put too late → 1 | shared by 2, 3 |
        shared by 2, 3 | expire | busy, 1 wait | invalidate → 2, 3; log expiry | shared by 1 | nothing as S → 1
        shared by 2, 3 | otherEpochsAck | shared by 2, 3 |  | shared by 2, 3 |

        shared by 1, 2 | read | shared by 1, 2 | 3 as S → 1 | shared by 1, 2 |
        shared by 1, 2 | write | busy | invalidate → 2; log write | nobody | done as I → 1
        shared by 1, 2 | failedWrite | shared by 2 | same as I → 1 | shared by 2 |
        shared by 1, 2 | hint | shared by 2 |  | shared by 2 |
        shared by 1, 2 | oldHint | shared by 1, 2 |  | shared by 1, 2 |
        shared by 1, 2 | oldPut | shared by 2 | put too late → 1 | shared by 2 |
        shared by 1, 2 | expire | busy, 1 wait | invalidate → 1, 2; log expiry | shared by 1 | nothing as S → 1
        shared by 1, 2 | otherEpochsAck | shared by 1, 2 |  | shared by 1, 2 |

        owned by 2 | read | busy | recall to shared → 2 | shared by 1, 2 | 2 as S → 1
        owned by 2 | write | busy | recall → 2; log write | nobody | done as I → 1
        owned by 2 | failedWrite | busy | recall to shared → 2 | shared by 2 | same as I → 1
        owned by 2 | hint | owned by 2 |  | owned by 2 |
        owned by 2 | oldHint | owned by 2 |  | owned by 2 |
        owned by 2 | oldPut | owned by 2 | put too late → 1 | owned by 2 |
        owned by 2 | expire | busy, 1 wait | recall → 2; log expiry | owned by 1 | nothing as E → 1
        owned by 2 | otherEpochsAck | owned by 2 |  | owned by 2 |

        2 owns, unlogged | read | busy | recall to shared → 2 | shared by 1, 2 | log data; put done → 2; 8 as S → 1
        2 owns, unlogged | write | busy | recall → 2 | nobody | log write; put done → 2; done as I → 1
        2 owns, unlogged | failedWrite | busy | recall → 2 | nobody | log write on data; put done → 2; same as I → 1
        2 owns, unlogged | hint | owned by 2 |  | owned by 2 |
        2 owns, unlogged | oldHint | owned by 2 |  | owned by 2 |
        2 owns, unlogged | oldPut | owned by 2 | put too late → 1 | owned by 2 |
        2 owns, unlogged | expire | busy | recall to shared → 2 | shared by 1, 2 | log data; put done → 2; 8 as S → 1
        2 owns, unlogged | otherEpochsAck | owned by 2 |  | owned by 2 |

        owned by 1 | read | owned by 1 | 1 as E → 1 | owned by 1 |
        owned by 1 | write | busy | log write | owned by 1 | done as M → 1
        owned by 1 | failedWrite | nobody | same as I → 1 | nobody |
        owned by 1 | hint | nobody |  | nobody |
        owned by 1 | oldHint | owned by 1 |  | owned by 1 |
        owned by 1 | put | busy | log data | nobody | put done → 1
        owned by 1 | oldPut | nobody | put too late → 1 | nobody |
        owned by 1 | expire | busy, 1 wait | recall → 1; log expiry | owned by 1 | nothing as E → 1
        owned by 1 | otherEpochsAck | owned by 1 |  | owned by 1 |

        busy | read | busy, 1 wait |  | owned by 1 | done as I → 2; 2 as E → 1
        busy | write | busy, 1 wait |  | nobody | done as I → 2; log write; done as I → 1
        busy | failedWrite | busy, 1 wait |  | nobody | done as I → 2; same as I → 1
        busy | hint | busy |  | nobody | done as I → 2
        busy | oldHint | busy |  | nobody | done as I → 2
        busy | put | busy, 1 wait |  | nobody | done as I → 2; put too late → 1
        busy | oldPut | busy, 1 wait |  | nobody | done as I → 2; put too late → 1
        busy | expire | busy, 1 wait |  | owned by 1 | done as I → 2; 2 as E → 1
        busy | otherEpochsAck | busy |  | nobody | done as I → 2
        """

    @Test("every request in every state")
    func cells() throws {
        for row in TableText.rows(Self.table, columns: 6) {
            let state = try #require(HomeTable.State(rawValue: row[0]))
            let event = try #require(HomeTable.Event(rawValue: row[1]))
            var table = HomeTable(state)
            table.carryOut(event)
            #expect(table.line == row[2], "\(row)")
            #expect(table.takeOutput() == row[3], "\(row)")
            table.settle()
            #expect(table.line == row[4], "\(row)")
            #expect(table.takeOutput() == row[5], "\(row)")
        }
    }

    @Test("every state and every request is in the table")
    func complete() {
        let rows = TableText.rows(Self.table, columns: 6)
        #expect(Set(rows.map { $0[0] }) == Set(HomeTable.State.allCases.map(\.rawValue)))
        #expect(Set(rows.map { $0[1] }) == Set(HomeTable.Event.allCases.map(\.rawValue)))
    }
}

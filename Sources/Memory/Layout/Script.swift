// SPDX-License-Identifier: Apache-2.0
import CacheCore

/// Lua that Redis runs in one piece. KEYS[1] is always the shard's fence.
struct Script {
    let text: String
    /// Its name for EVALSHA.
    let digest: String

    private init(_ parts: String...) {
        text = parts.joined(separator: "\n")
        digest = SHA1.hexadecimal(text)
    }

    /// ARGV: fence. Answers the fence before, or null; leaves a higher one as it is.
    static let raise = Script(
        helpers,
        """
        local fence = redis.call('GET', KEYS[1])
        if fence and #fence ~= 24 then return redis.error_reply('FOREIGN the fence is not one of Syncline') end
        if not fence or before(fence, ARGV[1]) then
          raise()
        end
        return fence
        """
    )

    /// KEYS: fence, key. ARGV: the longest form that is answered. Answers fence, stored form, PTTL.
    static let fetch = Script(
        """
        if redis.call('STRLEN', KEYS[2]) > tonumber(ARGV[1]) then
          return redis.error_reply('FOREIGN the value is longer than Syncline stores')
        end
        return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('PTTL', KEYS[2])}
        """
    )

    /// KEYS: fence, key. ARGV: fence, version, stored form (empty: delete), milliseconds (empty: never expires).
    static let store = Script(
        helpers,
        guarded,
        """
        local held = redis.call('GETRANGE', KEYS[2], 0, 23)
        if isVersion(held) and not before(held, ARGV[2]) then return {'OLDER'} end
        if ARGV[3] == '' then redis.call('DEL', KEYS[2])
        elseif ARGV[4] == '' then redis.call('SET', KEYS[2], ARGV[3])
        else redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4]) end
        if isRaised then raise() end
        return {'DONE'}
        """
    )

    /// KEYS: fence, keys. ARGV: fence, version. Deletes the keys with versions up to this one; answers how many.
    static let remove = Script(
        helpers,
        guarded,
        """
        local count = 0
        for i = 2, #KEYS do
          local held = redis.call('GETRANGE', KEYS[i], 0, 23)
          if not isVersion(held) or not before(ARGV[2], held) then count = count + redis.call('DEL', KEYS[i]) end
        end
        if isRaised then raise() end
        return {'DONE', count}
        """
    )

    /// `before`, because Lua's own `<` asks the locale of the server, and one of them sorts `aa` after `z`.
    ///
    /// `raise` first deletes: a server that is full allows no SET, except after another write of the same script.
    /// Neither a new home nor a deletion must wait for space.
    private static let helpers = """
        local function before(a, b)
          if a == b then return false end
          for i = 1, 24 do
            local x, y = string.byte(a, i), string.byte(b, i)
            if x ~= y then return x < y end
          end
        end
        local function raise()
          redis.call('DEL', KEYS[1])
          redis.call('SET', KEYS[1], ARGV[1])
        end
        """

    /// Goes on only under the caller's own fence. A higher generation of it is written after the data, since a value
    /// must not slip through on a full server.
    private static let guarded = """
        local function isVersion(text) return #text == 24 and not string.find(text, '[^0-9a-f]') end
        local fence = redis.call('GET', KEYS[1])
        if not fence then return {'LOST'} end
        local isRaised = fence ~= ARGV[1]
        if isRaised then
          if #fence ~= 24 then return redis.error_reply('FOREIGN the fence is not one of Syncline') end
          local isOwnEpoch = string.sub(fence, 1, 16) == string.sub(ARGV[1], 1, 16)
          if before(fence, ARGV[1]) then
            if not isOwnEpoch then return {'LOST'} end
          else
            if not isOwnEpoch then return {'FENCED', string.sub(fence, 1, 16)} end
            return {'STALE'}
          end
        end
        """
}

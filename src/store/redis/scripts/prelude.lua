-- What every script begins with: reads the head of a namespace, and trusts nothing of it.
--
-- KEYS: meta, log, reps, idem. Each script returns a list of texts whose first says what it is.
--
-- Invariant: nothing is written before everything that is read has been checked, so that no script ends
-- halfway. Numbers have at most 15 digits: Lua counts them exactly.

local META, LOG, REPS, IDEM = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local ZERO = string.rep('0', 64)

local function is_count(text)
    return type(text) == 'string' and #text <= 15
        and (text == '0' or string.find(text, '^[1-9][0-9]*$') ~= nil)
end

local function is_hex(text, length)
    return type(text) == 'string' and #text == length and string.find(text, '^[0-9a-f]+$') ~= nil
end

-- Lineages with commas between, the latest first; or nothing at all.
local MOST_ANCESTORS = 64
local function is_ancestry(text)
    if type(text) ~= 'string' or MOST_ANCESTORS * 33 <= #text then
        return false
    end
    for lineage in string.gmatch(text == '' and '' or text .. ',', '([^,]*),') do
        if not is_hex(lineage, 32) then
            return false
        end
    end
    return true
end

-- This server's own time in milliseconds.
local function time()
    local clock = redis.call('TIME')
    return tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
end

local function corrupt(place, why)
    return { 'CORRUPT', place, why }
end

-- One uninterrupted reign of this primary. A run id alone would not show that it was demoted and
-- promoted again; the replication id changes with each promotion. Neither shows that the others
-- followed another primary for a while and then came back to this one, which never heard of it; but
-- they must sync again for that, and syncs are counted. Beside it: how many follow.
local function reign()
    local server = redis.call('INFO', 'server')
    local replication = redis.call('INFO', 'replication')
    if not string.find(replication, 'role:master', 1, true) then
        return nil
    end
    local stats = redis.call('INFO', 'stats')
    local run = string.match(server, 'run_id:(%x+)')
    local history = string.match(replication, 'master_replid:(%x+)')
    local whole = string.match(stats, 'sync_full:(%d+)')
    local partial = string.match(stats, 'sync_partial_ok:(%d+)')
    local followers = string.match(replication, 'connected_slaves:(%d+)')
    if not run or not history or not whole or not partial or not followers then
        return nil
    end
    return run .. '/' .. history .. '/' .. whole .. '+' .. partial, followers
end

-- The head, or nil and what to return instead. `log_may_differ` is for the reader, which follows the log
-- record by record and can say where it ends.
local function stored(log_may_differ)
    local who, followers = reign()
    if not who then
        return nil, { 'NOT_PRIMARY' }
    end
    local missing = nil
    local present = 0
    for at, wanted in ipairs({ 'hash', 'stream', 'hash', 'hash' }) do
        local found = redis.call('TYPE', KEYS[at])
        found = found.ok or found
        if found == 'none' then
            missing = KEYS[at]
        elseif found == wanted then
            present = present + 1
        else
            return nil, corrupt('key `' .. KEYS[at] .. '`', 'it is a ' .. found .. ' and no ' .. wanted)
        end
    end
    if present == 0 then
        return nil, { 'EMPTY', who }
    end
    if missing then
        return nil, corrupt('key `' .. missing .. '`', 'it is gone')
    end
    local fields = redis.call('HMGET', META, 'fmt', 'gen', 'ancestors', 'rev', 'chain', 'fork', 'limit')
    local head = {
        gen = fields[2], ancestors = fields[3], rev = fields[4], chain = fields[5],
        fork = fields[6], limit = fields[7], reign = who, followers = followers,
    }
    if fields[1] ~= '1' then
        local found = fields[1] or 'none'
        return nil, corrupt('the head', 'its format is `' .. found .. '`; this version reads format 1')
    end
    local sound = is_hex(head.gen, 32) and is_ancestry(head.ancestors)
        and is_count(head.rev) and is_hex(head.chain, 64)
        and (head.fork == '0' or head.fork == '1')
        and (head.rev ~= '0' or head.chain == ZERO)
    if not sound then
        return nil, corrupt('the head', 'it holds no lineage, revision and hash')
    end
    -- Without it nobody knows how long to wait for the leases of others.
    if not is_count(head.limit) or head.limit == '0' then
        return nil, corrupt('the head', 'it does not say how long leases may run')
    end
    head.number = tonumber(head.rev)
    if not log_may_differ then
        local length = redis.call('XLEN', LOG)
        if length ~= head.number then
            local why = 'it holds ' .. length .. ' records, and the head is at revision ' .. head.rev
            return nil, corrupt('the log', why)
        end
    end
    return head
end

-- The chain hash at a revision that the log must hold.
local function chain_at(rev)
    if rev == '0' then
        return ZERO
    end
    local found = redis.call('XRANGE', LOG, rev .. '-0', rev .. '-0')[1]
    if not found then
        return nil, corrupt('revision ' .. rev, 'its record is gone')
    end
    local fields = found[2]
    if #fields ~= 4 or fields[1] ~= 'e' or fields[3] ~= 'c' or not is_hex(fields[4], 64) then
        return nil, corrupt('revision ' .. rev, 'its record has not the fields `e` and `c`')
    end
    return fields[4]
end

-- What a place is in this history: LINEAGE, APART, NEWEST or BEHIND; or nil and what to return.
local function standing(head, gen, rev, chain)
    if gen ~= head.gen then
        return 'LINEAGE'
    end
    if rev == head.rev then
        return chain == head.chain and 'NEWEST' or 'APART'
    end
    if head.number < tonumber(rev) then
        return 'APART'
    end
    local found, refusal = chain_at(rev)
    if not found then
        return nil, refusal
    end
    return chain == found and 'BEHIND' or 'APART'
end

-- The same, where the mark of a fork outranks it.
local function marked(head, place)
    if head.fork == '1' and place ~= 'LINEAGE' then
        return place == 'APART' and 'FORKED_APART' or 'FORKED_PART'
    end
    return place == 'APART' and 'FORKED_APART' or place
end

"""`why`: watches two ends for a while and says what became of their packets.

question: what was asked, and the filters that it needs. evidence: the rows that
tell, by SQL. connections: the rows joined. verdict: the decision, a pure function
of the evidence. report: how it is shown.
"""
